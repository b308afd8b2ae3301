"""Which rules both arms' answers to the same prompts pass, side by side.

Belongs here: pairs of checks, and their counts by rule and over all constraints.
Does not: the rules themselves (rules.py), intervals (evaluation/statistics/intervals.py), drawing tables.
"""

from collections.abc import Iterable, Sequence

from medcot_pipeline.evaluation.answers.rules import CONSTRAINT_RULES, FORMAT_RULES, check_answer
from medcot_pipeline.evaluation.statistics.intervals import pass_rate_uplift, sign_test_p
from medcot_pipeline.records.answer_figures import InstructionCounts, Instructions, RuleCounts
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.figures import PairedCounts
from medcot_pipeline.records.prompts import Prompt


def instruction_rates(prompts: Sequence[Prompt], answers: Iterable[Answer]) -> Instructions:
    """Prompts with constraints of which every constraint is kept, strictly and loosely."""
    asked, given = [prompt for prompt in prompts if prompt.constraints], list(answers)
    strict, loose = (_instructions_kept(paired_checks(asked, given, loose=loose).values()) for loose in (False, True))
    return Instructions(strict=strict, loose=loose)


def _instructions_kept(checks: Iterable[tuple[dict[str, bool], dict[str, bool]]]) -> InstructionCounts:
    kept = [tuple(all(arm[rule] for rule in arm if rule in CONSTRAINT_RULES) for arm in pair) for pair in checks]
    counts = compare([(base, tuned) for base, tuned in kept])
    uplift = pass_rate_uplift(counts.base_pass, counts.tuned_pass, counts.n)
    return InstructionCounts(**dict(counts), **dict(uplift))


def rule_table(prompts: Sequence[Prompt], answers: Iterable[Answer], *, loose: bool = False) -> list[RuleCounts]:
    """Both arms' passes, rule by rule, over the prompts that both arms answered.

    Returns:
        A row for each rule, over the prompts that it applies to; `mcnemar_p` is a two-sided binomial test on the
        prompts where the arms differ, not corrected for the number of rules. Rules that apply to no prompt have no row.
    """
    checks = paired_checks(prompts, answers, loose=loose)
    rows = []
    for rule in (*FORMAT_RULES, *CONSTRAINT_RULES):
        pairs = [(base[rule], tuned[rule]) for base, tuned in checks.values() if rule in base]
        if pairs:
            rows.append(RuleCounts(rule=rule, **dict(compare(pairs))))
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


def paired_checks(
    prompts: Sequence[Prompt], answers: Iterable[Answer], *, loose: bool = False
) -> dict[str, tuple[dict[str, bool], dict[str, bool]]]:
    """`check_answer` of (base, tuned) by prompt id, for the prompts that both arms answered, in the prompts' order."""
    found: dict[tuple[str, Arm], Answer] = {(answer.prompt_id, answer.arm): answer for answer in answers}
    pairs = {prompt.id: (prompt, found.get((prompt.id, "base")), found.get((prompt.id, "tuned"))) for prompt in prompts}
    return {
        name: (check_answer(prompt, base, loose=loose), check_answer(prompt, tuned, loose=loose))
        for name, (prompt, base, tuned) in pairs.items()
        if base and tuned
    }
