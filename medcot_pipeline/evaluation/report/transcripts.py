"""The transcripts that the report shows.

Belongs here: prompts with both answers and what was said of them, and which of them are shown.
Does not belong here: the verdicts and rules themselves, what tuned failed (failures.py), layout (page.py, templates/).
"""

import random
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.answers.paired import pairs_of
from medcot_pipeline.evaluation.answers.rules import TAUGHT
from medcot_pipeline.evaluation.statistics.preference import SCORES
from medcot_pipeline.records.answers import Answer, RulesPassed
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.transcripts import ShownAnswer, ShownVerdict, Transcript, Transcripts
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.settings import ReportSettings

AI_JUDGE = "AI judge"


def answered_prompts(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    checks: Sequence[RulesPassed],
    sources: Mapping[str, Sequence[Verdict]],
) -> list[Transcript]:
    """Every prompt that both arms answered, in the order of the prompts, with both answers and every verdict.

    Args:
        prompts: the prompts.
        answers: of both arms, in any order.
        checks: which rules they pass.
        sources: verdicts by who gave them.
    """
    pairs = pairs_of(checks)
    found = {(answer.prompt_id, answer.arm): answer for answer in answers}
    outcomes = {name: {verdict.prompt_id: verdict for verdict in given} for name, given in sources.items()}

    def entry(prompt: Prompt) -> Transcript:
        base, tuned = (
            ShownAnswer(**vars(found[prompt.id, arm]), rules=passed.strict)
            for arm, passed in zip(ARMS, pairs[prompt.id], strict=True)
        )
        given = [(name, each[prompt.id]) for name, each in outcomes.items() if prompt.id in each]
        return Transcript(
            prompt=prompt,
            arms=ByArm[ShownAnswer](base=base, tuned=tuned),
            verdicts=tuple(ShownVerdict(source=name, **vars(verdict)) for name, verdict in given),
            rules_difference=_rules_passed(tuned) - _rules_passed(base),
        )

    return [entry(prompt) for prompt in prompts if prompt.id in pairs]


def transcripts(answered: Sequence[Transcript], settings: ReportSettings) -> Transcripts:
    """Prompts where tuned did best, worst, and a seeded draw of the rest; no prompt twice.

    Ranked by verdict (people before judge), then by rules passed, tuned - base, then by answer length, tuned - base.
    """
    ranked = sorted(answered, key=_rank, reverse=True)
    each = min(settings.transcripts, max(1, len(ranked) // 3)) if len(ranked) > 1 else len(ranked)
    best, worst, rest = ranked[:each], ranked[each:][-each:][::-1], ranked[each:-each]
    drawn = random.Random(settings.seed).sample(rest, min(settings.transcripts, len(rest)))
    judged = any(shown.verdicts for shown in answered)
    return Transcripts(
        chosen_by="verdicts, then rules passed" if judged else "rules passed, then length of the answer",
        answered=len(ranked),
        best=tuple(best),
        worst=tuple(worst),
        random=tuple(drawn),
    )


def _rules_passed(answer: ShownAnswer) -> int:
    """Rules that both arms could pass by design."""
    return sum(passed for rule, passed in answer.rules.items() if rule not in TAUGHT)


def _rank(shown: Transcript) -> tuple[int, int, int, str]:
    by_people = [verdict for verdict in shown.verdicts if verdict.source != AI_JUDGE]
    score = sum(SCORES.get(verdict.outcome, 0) for verdict in by_people or shown.verdicts)
    longer = len(shown.arms.tuned.answer) - len(shown.arms.base.answer)
    return score, shown.rules_difference, longer, shown.prompt.id
