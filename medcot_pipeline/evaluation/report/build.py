"""The evaluation report's content, of everything that was measured.

Belongs here: which figures stand in the report, and what it says of perplexity, rules and cost.
Does not belong here: measuring (the other folders of evaluation/), intervals and tests (evaluation/statistics/), what
is said of instruction following (following.py), transcripts and failures, sentences and claims (words/), layout
(page.py).
"""

import math
from collections.abc import Sequence

from medcot_pipeline.evaluation.answers.paired import rule_table
from medcot_pipeline.evaluation.answers.rules import MEANINGS
from medcot_pipeline.evaluation.judging.second import judges_agreement
from medcot_pipeline.evaluation.perplexity.table import definition_rows
from medcot_pipeline.evaluation.report.failures import failures
from medcot_pipeline.evaluation.report.following import instruction_following, pass_rates
from medcot_pipeline.evaluation.report.measured import Answered, Measured
from medcot_pipeline.evaluation.report.transcripts import AI_JUDGE, answered_prompts, transcripts
from medcot_pipeline.evaluation.report.words.claims import claims
from medcot_pipeline.evaluation.report.words.gaps import not_measured
from medcot_pipeline.evaluation.report.words.limits import limits
from medcot_pipeline.evaluation.report.words.opening import smoke_test, summary
from medcot_pipeline.evaluation.report.words.warnings import warnings
from medcot_pipeline.evaluation.statistics.preference import net_preference
from medcot_pipeline.records.answer_figures import AnswerCounts
from medcot_pipeline.records.answers import checks_of, writing_rate
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.judgement import JudgeTokens
from medcot_pipeline.records.perplexity import PerplexityFigures, RowLikelihoods
from medcot_pipeline.records.prompts import of_set
from medcot_pipeline.records.report.following import Rates
from medcot_pipeline.records.report.report import (
    Cost,
    Histogram,
    JudgeCost,
    PerplexitySection,
    Report,
    ReportedRule,
    SecondJudge,
    StageCost,
)
from medcot_pipeline.release.decision import Evidence, decide
from medcot_pipeline.settings import PromotionSettings, ReportSettings

HISTOGRAM_BINS = 20


def build_report(profile: str, measured: Measured, settings: ReportSettings, margins: PromotionSettings) -> Report:
    """The content of report.json.

    Perplexity and instruction following are computed apart, from different inputs: neither figure is derived from
    the other.

    Args:
        profile: name of the settings profile of the pass that writes the report.
        measured: what was measured.
        settings: transcripts shown, prices, the least n, resamples and seed of the intervals.
        margins: what an adapter must show to take over.
    """
    answered = measured.answered
    prompts, answers, figures = of_set(answered.prompts, "instructions"), answered.answers, answered.figures
    checks = checks_of(answered.prompts, answered.checks, "instructions")
    following = instruction_following(prompts, answers, measured.judge, measured.human, checks, settings)
    perplexity = _perplexity(measured.perplexity)
    said = summary(perplexity, following, figures.actions)
    reviewers = {each.reviewer: each.verdicts for each in measured.human.reviewers}
    sources = {**reviewers, AI_JUDGE: measured.judge.verdicts}
    shown = answered_prompts(answered.prompts, answers, answered.checks, sources)
    evidence = Evidence(perplexity, following, measured.incumbent, measured.has_incumbent, settings.least_n)
    heard = [*reviewers] if following.headline == "human" else [AI_JUDGE] if following.headline == "judge" else []
    return Report(
        profile=profile,
        summary_en=said.en,
        summary_zh=said.zh,
        smoke_test=tuple(smoke_test(profile, measured.training, perplexity, len(prompts), settings.least_n)),
        decision=decide(evidence, margins),
        failures=failures(shown, answered.actions, heard, settings),
        least_n=settings.least_n,
        warnings=tuple(warnings(perplexity, following, figures, measured.training)),
        claims=claims(perplexity, following),
        perplexity=perplexity,
        instruction_following=following,
        second_judge=_second_judge(measured, settings),
        rubrics=measured.rubrics,
        actions=figures.actions,
        general=_general(answered),
        incumbent=measured.incumbent,
        answers=AnswerCounts(**{name: getattr(figures, name) for name in AnswerCounts.model_fields}),
        exams=measured.exams,
        rules=tuple(ReportedRule(**dict(row), meaning=MEANINGS[row.rule]) for row in rule_table(checks)),
        safety_queue=figures.safety_queue,
        transcripts=transcripts([each for each in shown if each.prompt.set == "instructions"], settings),
        training=measured.training,
        cost=_cost(measured, settings),
        not_measured=tuple(
            not_measured(perplexity, measured.exams, following, measured.incumbent, measured.rubrics, figures.actions)
        ),
        limits=tuple(limits(perplexity, following, figures, measured.training)),
        provenance=measured.provenance,
    )


def _second_judge(measured: Measured, settings: ReportSettings) -> SecondJudge | None:
    """What a second judge says, and how far it agrees with the first; None without one."""
    first, second = measured.judge, measured.second
    if first.status != "judged" or second is None:
        return None
    agreement = judges_agreement(first, second, settings.bootstrap_resamples, settings.seed)
    return SecondJudge(judge=second, preference=net_preference(second.verdicts), agreement=agreement)


def _general(answered: Answered) -> Rates | None:
    """Pass rates of the instructions apart from medicine; None where none was asked."""
    checks = checks_of(answered.prompts, answered.checks, "general")
    return pass_rates(checks) if checks else None


def _perplexity(figures: PerplexityFigures) -> PerplexitySection:
    """The figures with histogram and table; of an adapter without effect no drop is claimed."""
    void = figures.max_logit_difference == 0
    return PerplexitySection(
        **dict(figures),
        relative_drop=None if void else 1.0 - figures.ratio.value,
        status="adapter without effect" if void else "measured",
        histogram=_histogram(figures.examples),
        table=tuple(definition_rows(figures)),
    )


def _histogram(examples: Sequence[RowLikelihoods]) -> Histogram:
    """Rows by change of NLL per token, tuned - base: about `HISTOGRAM_BINS` equal bins, with 0 on an edge."""
    changes = [row.change for row in examples if row.tokens]
    width = (max([0.0, *changes]) - min([0.0, *changes])) / HISTOGRAM_BINS or 1.0
    numbers = [math.floor(change / width) for change in changes]
    first = min([0, *numbers])
    last = max([first, -1, *numbers])
    return Histogram(
        unit="nats per token",
        edges=tuple(number * width for number in range(first, last + 2)),
        counts=tuple(numbers.count(number) for number in range(first, last + 1)),
    )


def _cost(measured: Measured, settings: ReportSettings) -> Cost:
    """Tokens, seconds and tokens per second of training and of each arm's answers; what the judge took for all calls.

    The judge's `price` is that of every token in its verdicts, whichever run asked for them; None without prices.
    """
    training = measured.training
    rate = training.tokens / training.seconds if training.seconds else None
    stages = [StageCost(stage="training", tokens=training.tokens, seconds=training.seconds, tokens_per_second=rate)]
    for arm in ARMS:
        own = [answer for answer in measured.answered.answers if answer.arm == arm]
        seconds = measured.answered.seconds[arm]
        tokens, rate = writing_rate(own, seconds)
        stages.append(StageCost(stage=f"answers, {arm}", tokens=tokens, seconds=seconds, tokens_per_second=rate))
    judge, paid = measured.judge, measured.paid.model_dump() if measured.paid else {}
    if judge.status == "not configured":
        return Cost(stages=tuple(stages), judge=JudgeCost(calls={}, errors={}, tokens={}, paid=paid, price=None))
    took = JudgeCost(
        calls=judge.calls.model_dump(),
        errors=judge.errors,
        tokens=judge.tokens.model_dump(),
        paid=paid,
        price=_price(judge.tokens, settings),
    )
    return Cost(stages=tuple(stages), judge=took)


def _price(tokens: JudgeTokens, settings: ReportSettings) -> float | None:
    prompt, completion = settings.judge_prompt_price, settings.judge_completion_price
    if prompt is None or completion is None:
        return None
    return (tokens.prompt * prompt + tokens.completion * completion) / 1_000_000
