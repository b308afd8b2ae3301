"""What the report does not measure, each gap with what would fill it.

Belongs here: wording, and when it applies.
Does not belong here: what measured figures cannot carry (limits.py).
"""

from medcot_pipeline.records.answer_figures import ActionFigures
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.report import IncumbentSection, PerplexitySection
from medcot_pipeline.records.rubrics.graded import RubricRecord


def not_measured(
    perplexity: PerplexitySection,
    exams: Exams,
    following: InstructionFollowing,
    incumbent: IncumbentSection | None,
    rubrics: RubricRecord,
    actions: ActionFigures | None,
) -> list[str]:
    """Gaps, each with what would fill it."""
    gaps = [*_unheard_people(following), *_unheard_judge(following), *_ungraded(rubrics)]
    if incumbent:
        gaps += _unmeasured_incumbent(incumbent)
    if not perplexity.general:
        gaps.append("Forgetting: perplexity on general text was not measured.")
    if not perplexity.overfitting:
        gaps.append("Overfitting: no training row was measured beside the held-out ones.")
    against = "; emergencies alone were held against a reference action" if actions else " or against a reference"
    gaps.append(f"Medical correctness: no answer was checked by a clinician{against}.")
    gaps.append("Safety: the flags are a queue for people to look at, not a count of errors.")
    if exams.status == "not measured":
        gaps.append("Examinations (CMExam, CMB, MedQA): no folder is set. MEDCOT_EXAMS__FOLDER names one.")
    return gaps + [f"Examinations: {sentence}" for sentence in exams.left_out]


def _ungraded(rubrics: RubricRecord) -> list[str]:
    if rubrics.status == "graded":
        return []
    why = "no prompt that was asked has one" if rubrics.status == "no rubric" else "no AI judge is configured"
    return [f"Rubrics: no answer was graded, as {why}."]


def _unmeasured_incumbent(incumbent: IncumbentSection) -> list[str]:
    gaps, preference = [], incumbent.preference
    if incumbent.rates is None:
        gaps.append("Rules against the incumbent: answers came from an endpoint, which serves only base and tuned.")
    if preference is None:
        gaps.append("Preference against the incumbent: no AI judge compared its answers.")
    elif preference.invalid:
        gaps.append(
            f"Preference against the incumbent on {preference.invalid:,} prompts: no valid verdict came back. "
            "`medcot sync --force judgements` asks the unanswered calls again."
        )
    return gaps


def _unheard_people(following: InstructionFollowing) -> list[str]:
    if not following.reviewers:
        return ["Human preference: no blind review was imported. `medcot review` opens the page."]
    gaps = [
        f"Human preference on {reviewer.missing:,} items: the review of {reviewer.reviewer} is not complete."
        for reviewer in following.reviewers
        if reviewer.missing
    ]
    if following.unresolved:
        gaps.append(
            f"Adjudicated verdicts: {following.unresolved:,} items of second looks are open. `medcot review` names "
            "their pages."
        )
    return gaps


def _unheard_judge(following: InstructionFollowing) -> list[str]:
    judge = following.judge
    if judge.status == "not configured":
        return ["AI preference: no judge is configured. Set MEDCOT_JUDGE__BASE_URL and MEDCOT_JUDGE__MODEL."]
    refused = judge.calls.failed
    invalid = following.preference.judge.invalid
    if not refused and not invalid:
        return []
    errors = ", ".join(f"{count:,} {error}" for error, count in judge.errors.items())
    again = f" {refused:,} calls were refused ({errors}); `medcot sync --force judgements` asks again."
    return [f"AI preference on {invalid:,} prompts: no valid verdict came back.{again if refused else ''}"]
