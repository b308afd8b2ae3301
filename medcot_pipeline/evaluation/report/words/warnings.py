"""What makes figures of the report void or nearly so.

Belongs here: wording, and when it applies.
Does not belong here: what was not measured (gaps.py), what figures cannot carry (limits.py).
"""

from medcot_pipeline.evaluation.report.page import p_value, percent
from medcot_pipeline.records.answer_figures import AnswerCounts
from medcot_pipeline.records.judgement import failed_gates
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.provenance import TrainingSummary
from medcot_pipeline.records.report.report import PerplexitySection

SURE_OF_LENGTH = 0.05
"""p-value of the longer answer's wins below which the report says that verdicts follow length."""


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
    failed = failed_gates(judge) if judge.status == "judged" else ()
    if failed:
        said = "; ".join(gate.said() for gate in failed)
        found.append(f"The AI judge does not pass its gates, so its verdicts are weak evidence: {said}.")
    if judge.validated is False:
        found.append(f"The AI judge is not validated: {judge.validation.en}.")
    return found + _taste_for_length(following)


def _taste_for_length(following: InstructionFollowing) -> list[str]:
    """Said where the headline's verdicts go to the longer answer more often than chance allows."""
    length = following.length.get(following.headline) if following.headline else None
    if not length or length.longer_p is None or length.longer_wins.value is None:
        return []
    if length.longer_p >= SURE_OF_LENGTH or length.longer_wins.value < 0.5:
        return []
    held = length.controlled.value
    equal = "length and verdict cannot be told apart" if held is None else f"held equal, tuned wins {percent(held)}"
    return [
        f"Verdicts follow length: the longer answer won {percent(length.longer_wins.value)} of {length.decided:,} "
        f"decided verdicts (p {p_value(length.longer_p)}); {equal}."
    ]
