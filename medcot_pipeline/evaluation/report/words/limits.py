"""What the report's figures cannot carry, for this model and this amount of evidence.

Belongs here: wording, and when it applies.
Does not belong here: what makes a figure void (warnings.py), what was not measured (gaps.py).
"""

from medcot_pipeline.evaluation.report.page import size
from medcot_pipeline.records.answer_figures import AnswerCounts
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.provenance import TrainingSummary
from medcot_pipeline.records.report.report import PerplexitySection

SMALL_MODEL = 1_000_000_000
"""Parameters below which the report says what a model of this size cannot show."""
ADVISED_ROWS = 500
ADVISED_PROMPTS = 100
KIN = {
    "openai": "the training targets were written by a model of the same family",
    "qwen": "both arms descend from models of the same family",
    "deepseek": "both arms descend from models of the same family",
}
"""Why a judge of that family may prefer an arm, for the public data set and base model."""


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
