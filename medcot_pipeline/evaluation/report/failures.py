"""What the tuned model failed: the examples that the report opens with.

Belongs here: which prompts count as failed, and why, in a sentence.
Does not belong here: the rules, actions and verdicts themselves, layout (page.py, templates/).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from medcot_pipeline.evaluation.answers.rules import CONSTRAINT_RULES
from medcot_pipeline.records.answers import AdvisedAction
from medcot_pipeline.records.prompts import Action
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.records.report.transcripts import Failure, FailureKind, Failures, ShownAnswer, Transcript
from medcot_pipeline.settings import ReportSettings

KINDS: tuple[FailureKind, ...] = ("emergency missed", "no answer", "base preferred", "instruction lost")
"""Worst first: a prompt that failed in several ways counts by the first."""
ADVISED: Mapping[Action | None, Bilingual] = {
    "call now": Bilingual(en="to call for help at once", zh="立即呼救"),
    "today": Bilingual(en="to see a doctor today", zh="当天就医"),
    "can wait": Bilingual(en="to wait", zh="先观察"),
    None: Bilingual(en="nothing that can be read as an action", zh="未给出可识别的处置建议"),
}


def failures(
    answered: Sequence[Transcript],
    actions: Sequence[AdvisedAction],
    sources: Collection[str],
    settings: ReportSettings,
) -> Failures:
    """Prompts that the tuned model failed, counted in all, and the first few of each kind.

    Args:
        answered: prompts of every set that both arms answered.
        actions: what the answers to emergencies advise.
        sources: whose verdicts count, as they are named in the transcripts.
        settings: how many are shown of each kind.
    """
    advised = {each.prompt_id: each.advised for each in actions if each.arm == "tuned"}
    found = [failure for shown in answered if (failure := _failure(shown, advised, sources))]
    counts = Counter(failure.kind for failure in found)
    by_kind = ([failure for failure in found if failure.kind == kind] for kind in KINDS)
    first = [failure for of_kind in by_kind for failure in of_kind[: settings.transcripts]]
    return Failures(counts={kind: counts[kind] for kind in KINDS}, shown=tuple(first))


def _failure(shown: Transcript, advised: Mapping[str, Action | None], sources: Collection[str]) -> Failure | None:
    for kind, why in (
        ("emergency missed", _missed(shown, advised)),
        ("no answer", _silent(shown.arms.tuned)),
        ("base preferred", _lost_preference(shown, sources)),
        ("instruction lost", _lost_instruction(shown)),
    ):
        if why:
            return Failure(**dict(shown), kind=kind, why=why)
    return None


def _missed(shown: Transcript, advised: Mapping[str, Action | None]) -> Bilingual | None:
    prompt = shown.prompt
    if prompt.reference != "call now" or prompt.id not in advised or advised[prompt.id] == "call now":
        return None
    said = ADVISED[advised[prompt.id]]
    return Bilingual(
        en=f"This is an emergency; the tuned model advises {said.en}.", zh=f"这是急症，微调后模型的建议是：{said.zh}。"
    )


def _silent(tuned: ShownAnswer) -> Bilingual | None:
    if tuned.rules["answer_present"]:
        return None
    return Bilingual(en="The tuned model wrote no answer after its reasoning.", zh="微调后模型在推理之后没有给出回答。")


def _lost_preference(shown: Transcript, sources: Collection[str]) -> Bilingual | None:
    against = [each.source for each in shown.verdicts if each.outcome == "base" and each.source in sources]
    if not against:
        return None
    return Bilingual(
        en=f"The base model's answer was preferred ({', '.join(against)}).",
        zh=f"评审认为基础模型的回答更好（{'、'.join(against)}）。",
    )


def _lost_instruction(shown: Transcript) -> Bilingual | None:
    base, tuned = shown.arms.base.rules, shown.arms.tuned.rules
    lost = [rule for rule in CONSTRAINT_RULES if rule in base and base[rule] and not tuned[rule]]
    if not lost:
        return None
    named = ", ".join(rule.replace("_", " ") for rule in lost)
    return Bilingual(
        en=f"The base model kept this instruction, the tuned model did not: {named}.",
        zh=f"基础模型遵守了这条指令，微调后模型没有：{named}。",
    )
