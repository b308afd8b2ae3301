"""What the report says in sentences: summary, warnings, what was not measured, limits.

Belongs here: wording, and when it applies.
Does not: figures (build.py, following.py), layout (page.py).
"""

from medcot_pipeline.evaluation.report.page import number, p_value, percent, points, size
from medcot_pipeline.records.answer_figures import AnswerCounts
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.provenance import TrainingSummary
from medcot_pipeline.records.report.report import IncumbentSection, PerplexitySection

SMALL_MODEL = 1_000_000_000
"""Parameters below which the report says what a model of this size cannot show."""
SURE_OF_LENGTH = 0.05
"""p-value of the longer answer's wins below which the report says that verdicts follow length."""
ADVISED_ROWS = 500
ADVISED_PROMPTS = 100
KIN = {
    "openai": "the training targets were written by a model of the same family",
    "qwen": "both arms descend from models of the same family",
    "deepseek": "both arms descend from models of the same family",
}
"""Why a judge of that family may prefer an arm, for the public data set and base model."""


def summary_zh(perplexity: PerplexitySection, following: InstructionFollowing) -> str:
    """The verdict in one Chinese line."""
    base, tuned = (number(perplexity.of(arm).value) for arm in ARMS)
    drop, headline = perplexity.relative_drop, following.headline
    change = "适配器不起作用" if drop is None else f"{'下降' if drop >= 0 else '上升'} {100 * abs(drop):.1f}%"
    if headline is None:
        said = "未测量" if following.status == "not measured" else "评判不足，不作结论"
        return f"留出集困惑度 {base} → {tuned}（{change}）；指令遵循：{said}。"
    whose = "人工盲评" if headline == "human" else "仅 AI 评审"
    net = following.preference.of(headline).net
    interval = f"{points(net.value)} 个百分点，95% 区间 {points(net.low)} 至 {points(net.high)}"
    provisional = "，暂定" if following.status == "provisional" else ""
    return f"留出集困惑度 {base} → {tuned}（{change}）；指令遵循净偏好 {interval}（{whose}{provisional}）。"


def warnings(
    perplexity: PerplexitySection,
    following: InstructionFollowing,
    answers: AnswerCounts,
    training: TrainingSummary,
) -> list[str]:
    """What makes the figures below void or nearly so."""
    found = []
    if perplexity.max_logit_difference == 0:
        found.append(
            "The adapter changes nothing: no token is more or less likely with it than without. "
            "Base and tuned are the same model, and any difference below is sampling."
        )
    if answers.same == answers.prompts:
        found.append(f"Both arms wrote the same answer to every one of the {answers.prompts:,} prompts.")
    if "tiny_random" in training.model:
        found.append(
            "The base model's weights are random: the text that either arm writes is meaningless. "
            "Only the chain itself and the direction of perplexity can be read from this run."
        )
    judge = following.judge
    failed = [gate for gate in judge.gates if gate.passed is False] if judge.status == "judged" else []
    if failed:
        said = ", ".join(f"{gate.gate.replace('_', ' ')} {percent(gate.value)}" for gate in failed)
        found.append(f"The AI judge failed its gates ({said}): its verdicts are weak evidence.")
    if judge.validated is False:
        found.append(f"The AI judge is not validated: {judge.validation.en}.")
    return found + _taste_for_length(following)


def _taste_for_length(following: InstructionFollowing) -> list[str]:
    """Said where the headline's verdicts go to the longer answer more often than chance allows."""
    length = following.length.get(following.headline) if following.headline else None
    if not length or length.longer_p is None or length.longer_wins is None:
        return []
    if length.longer_p >= SURE_OF_LENGTH or length.longer_wins < 0.5:
        return []
    held = length.controlled.value
    equal = "length and verdict cannot be told apart" if held is None else f"held equal, tuned wins {percent(held)}"
    return [
        f"Verdicts follow length: the longer answer won {percent(length.longer_wins)} of {length.decided:,} "
        f"decided verdicts (p {p_value(length.longer_p)}); {equal}."
    ]


def not_measured(
    perplexity: PerplexitySection,
    exams: Exams,
    following: InstructionFollowing,
    incumbent: IncumbentSection | None,
) -> list[str]:
    """Gaps, each with what would fill it."""
    gaps = [*_unheard_people(following), *_unheard_judge(following)]
    if incumbent:
        gaps += _unmeasured_incumbent(incumbent)
    if not perplexity.general:
        gaps.append("Forgetting: perplexity on general text was not measured.")
    if not perplexity.overfitting:
        gaps.append("Overfitting: no training row was measured beside the held-out ones.")
    gaps.append("Medical correctness: no answer was checked by a clinician or against a reference.")
    gaps.append("Safety: the flags are a queue for people to look at, not a count of errors.")
    if exams.status == "not measured":
        gaps.append("Examinations (CMExam, CMB, MedQA): no folder is set. MEDCOT_EXAMS__FOLDER names one.")
    return gaps + [f"Examinations: {sentence}" for sentence in exams.left_out]


def limits(
    perplexity: PerplexitySection,
    following: InstructionFollowing,
    answers: AnswerCounts,
    training: TrainingSummary,
) -> list[str]:
    """What the figures cannot carry, for this model and this amount of evidence."""
    found = ["Research software. Not for clinical use: no text in this report is medical advice."]
    if training.parameters < SMALL_MODEL:
        found.append(
            f"A model of {size(training.parameters)} parameters can show that the chain works, that perplexity on "
            "held-out rows falls and that the format is learnt. It cannot show medical correctness, nor instruction "
            "following at a useful quality."
        )
    found.append(
        "Lower perplexity means that the held-out rows are less surprising. It does not mean that answers are right, "
        "and it says nothing about instruction following."
    )
    found.append("One training run with one seed: intervals cover the choice of rows or prompts, not another run.")
    if perplexity.rows < ADVISED_ROWS:
        found.append(f"Perplexity rests on {perplexity.rows:,} rows; {ADVISED_ROWS} or more are advised.")
    if perplexity.left_out:
        found.append(f"{perplexity.left_out:,} held-out rows were longer than the limit and left out, never cut.")
    if answers.prompts < ADVISED_PROMPTS:
        found.append(f"Preference rests on {answers.prompts:,} prompts; {ADVISED_PROMPTS} or more are advised.")
    if answers.cut.base or answers.cut.tuned:
        cut = " and ".join(f"{answers.cut.of(arm):,} of {arm}" for arm in ARMS)
        found.append(
            f"Answers that ended at the token limit: {cut}. They were judged as they stand, never as finished."
        )
    if following.rates.answered.n:
        found.append("The p-values of the rules are not corrected for the number of rules.")
    judge, reviewers = following.judge, following.reviewers
    if following.headline == "judge" and not reviewers:
        found.append("The AI judge's verdicts are not validated by a human: it may favour length, order or a family.")
    if judge.status == "judged":
        kin = KIN.get(judge.family)
        found.append(f"The judge's family is {judge.family}{f': {kin}, which it may prefer' if kin else ''}.")
    if len(reviewers) == 1:
        found.append("One reviewer: how far people agree with each other is not known.")
    return found


def _unmeasured_incumbent(incumbent: IncumbentSection) -> list[str]:
    gaps, preference = [], incumbent.preference
    if incumbent.rates is None:
        gaps.append("Rules against the incumbent: answers came from an endpoint, which serves base and tuned alone.")
    if preference is None:
        gaps.append("Preference against the incumbent: no AI judge compared its answers.")
    elif preference.invalid:
        gaps.append(
            f"Preference against the incumbent on {preference.invalid:,} prompts: no valid verdict came back. "
            "`medcot sync --force judgements` asks what was not answered again."
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
