"""Which rules both arms' answers to the same prompts pass, side by side.

Belongs here: checking every answer once; counts by rule and over all constraints.
Does not belong here: the rules themselves (rules/), intervals (evaluation/statistics/intervals.py), drawing tables.
"""

from collections.abc import Iterable, Sequence

from medcot_pipeline.evaluation.answers.rules import CONSTRAINT_RULES, FORMAT_RULES, TAUGHT, check_answer
from medcot_pipeline.evaluation.statistics.intervals import pass_rate_uplift, sign_test_p
from medcot_pipeline.records.answer_figures import InstructionCounts, Instructions, RuleCounts
from medcot_pipeline.records.answers import Answer, RulesPassed
from medcot_pipeline.records.arms import Other
from medcot_pipeline.records.figures import PairedCounts
from medcot_pipeline.records.prompts import Prompt

ANSWERED = "answer_present"
Pair = tuple[RulesPassed, RulesPassed]
"""Of the other arm and of tuned, to one prompt."""


def check_answers(prompts: Sequence[Prompt], answers: Iterable[Answer]) -> list[RulesPassed]:
    """Which rules every answer passes, in the order of the answers.

    Raises:
        MedcotError: a prompt carries an unknown rule.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    return [
        RulesPassed(
            answer.prompt_id,
            answer.arm,
            check_answer(by_id[answer.prompt_id], answer),
            check_answer(by_id[answer.prompt_id], answer, loose=True),
        )
        for answer in answers
    ]


def pairs_of(checks: Iterable[RulesPassed], against: Other = "base") -> dict[str, Pair]:
    """(other, tuned) by prompt id, for the prompts that both answered, in the order of the other's answers."""
    given = list(checks)
    tuned = {each.prompt_id: each for each in given if each.arm == "tuned"}
    return {
        each.prompt_id: (each, tuned[each.prompt_id])
        for each in given
        if each.arm == against and each.prompt_id in tuned
    }


def instruction_rates(checks: Iterable[RulesPassed], against: Other = "base") -> Instructions:
    """Prompts with constraints of which every constraint is kept, strictly and loosely."""
    pairs = [
        pair for pair in pairs_of(checks, against).values() if any(rule in CONSTRAINT_RULES for rule in pair[0].strict)
    ]
    strict = _instructions_kept([(other.strict, tuned.strict) for other, tuned in pairs])
    loose = _instructions_kept([(other.loose, tuned.loose) for other, tuned in pairs])
    return Instructions(strict=strict, loose=loose)


def answered(checks: Iterable[RulesPassed], against: Other = "base") -> PairedCounts:
    """Prompts whose answer is not empty, of those that both answered."""
    return compare(
        [(other.strict[ANSWERED], tuned.strict[ANSWERED]) for other, tuned in pairs_of(checks, against).values()]
    )


def _instructions_kept(passed: Iterable[tuple[dict[str, bool], dict[str, bool]]]) -> InstructionCounts:
    kept = [tuple(all(arm[rule] for rule in arm if rule in CONSTRAINT_RULES) for arm in pair) for pair in passed]
    counts = compare([(other, tuned) for other, tuned in kept])
    uplift = pass_rate_uplift(counts.base_pass, counts.tuned_pass, counts.n)
    return InstructionCounts(**dict(counts), **dict(uplift))


def rule_table(checks: Iterable[RulesPassed]) -> list[RuleCounts]:
    """Both arms' passes, rule by rule, over the prompts that both arms answered.

    Returns:
        A row for each rule, over the prompts that it applies to; `mcnemar_p` is a two-sided binomial test on the
        prompts where the arms differ, not corrected for the number of rules, and None of what tuning teaches and the
        base never saw. Rules that apply to no prompt have no row.
    """
    passed = [(base.strict, tuned.strict) for base, tuned in pairs_of(checks).values()]
    rows = []
    for rule in (*FORMAT_RULES, *CONSTRAINT_RULES):
        pairs = [(base[rule], tuned[rule]) for base, tuned in passed if rule in base]
        if pairs:
            counts, compared = compare(pairs), rule not in TAUGHT
            p = counts.mcnemar_p if compared else None
            rows.append(RuleCounts(rule=rule, compared=compared, **{**dict(counts), "mcnemar_p": p}))
    return rows


def compare(pairs: Sequence[tuple[bool, bool]]) -> PairedCounts:
    """The counts of (base passes, tuned passes), one pair a prompt."""
    base_only, tuned_only = pairs.count((True, False)), pairs.count((False, True))
    return PairedCounts(
        n=len(pairs),
        base_pass=sum(base for base, _ in pairs),
        tuned_pass=sum(tuned for _, tuned in pairs),
        base_only=base_only,
        tuned_only=tuned_only,
        mcnemar_p=sign_test_p(tuned_only, base_only),
    )
