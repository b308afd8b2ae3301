"""What every figure of the report means, and where its interval comes from or why it has none.

Belongs here: one entry for each kind of figure.
Does not belong here: computing figures, what they cannot carry (limits.py).
"""

from typing import NamedTuple


class Definition(NamedTuple):
    """A figure, what it is, and its interval."""

    figure: str
    meaning: str
    interval: str


DEFINITIONS = (
    Definition(
        "perplexity",
        "exp(Σ NLL / Σ tokens) over reasoning and answer of held-out rows; the prompt is given. How many equally "
        "likely tokens the model wavers between: lower is less surprised.",
        "95 %, over groups of near-duplicate rows, both arms together; none with a single group.",
    ),
    Definition(
        "perplexity by language, on content tokens",
        "The same over the rows of one language, or without marks (`<think>`, `</think>`, the end token), which "
        "training teaches first and which say nothing of medicine.",
        "As perplexity.",
    ),
    Definition(
        "bits per byte",
        "Σ NLL / (ln 2 × bytes of the text): comparable between tokenizers.",
        "As perplexity.",
    ),
    Definition(
        "forgetting, overfitting",
        "Perplexity on general passages, tuned over base; held-out over trained-on perplexity, each arm.",
        "95 %, over passages or rows.",
    ),
    Definition(
        "other definitions of perplexity",
        "Full text, mean over rows, mean over batches: what others print under the same name.",
        "As perplexity; none of the mean over batches, which depends on which rows share a batch.",
    ),
    Definition(
        "net preference",
        "(wins − losses) / n over blind pairs of answers; inconsistent verdicts count 0, invalid ones are left out.",
        "95 % score interval, prompts as the unit.",
    ),
    Definition(
        "instructions kept, answers given",
        "Share of prompts for which a program finds every explicit instruction kept, as written (strict) or with the "
        "usual wrappings taken off (loose); share of prompts with an answer.",
        "95 % score intervals; McNemar's exact test on prompts where the arms differ.",
    ),
    Definition(
        "recall of emergencies",
        "Of the prompts whose reference action is to call for help now, the share where the answer says so.",
        "95 % score interval (Wilson).",
    ),
    Definition(
        "rubric score",
        "Points of the criteria that an answer meets over the points that it could have won; criteria that cannot be "
        "graded are left out of both.",
        "95 %, over prompts.",
    ),
    Definition(
        "exam accuracy",
        "Right letters as a share of all questions, and of finished answers.",
        "95 %; over questions where each was asked several times.",
    ),
    Definition(
        "gates of the judge",
        "Shares over calls whose right outcome is known, or over the verdicts themselves.",
        "95 % score interval (Wilson).",
    ),
    Definition(
        "agreement",
        "Raw share, Cohen's κ, κ with linear weights, Gwet's AC1, ordinal α, over prompts.",
        "95 %, over prompts; none where only one class was used.",
    ),
    Definition(
        "length of answers",
        "Mean characters of each arm's answers, the share of decided verdicts that the longer answer won, and the win "
        "rate with length held equal.",
        "95 % of the shares; none of the means, which describe these very answers.",
    ),
    Definition(
        "blinding index",
        "(right − wrong) / n of the reviewers' guesses which side is the tuned one; 0 is blind, 1 is not.",
        "95 % score interval.",
    ),
    Definition(
        "pictures: histogram, scatter, curves of the training run",
        "What was measured, row by row, verdict by verdict or step by step.",
        "None: they show the data that figures are made of.",
    ),
    Definition(
        "margins and settings",
        "What was set before anything was measured: limits of gates and of the promotion, constraints of a prompt, "
        "learning rate, sizes.",
        "None: they were chosen, not measured.",
    ),
    Definition(
        "counts, tokens, seconds, prices",
        "What was counted or took place in this very run.",
        "None: they are no estimates of anything else.",
    ),
    Definition(
        "p-values",
        "Two-sided and exact: the sign test on decided prompts, McNemar's on prompts where the arms differ. "
        "Not corrected for the number of rules.",
        "None: a p-value is no estimate.",
    ),
)
