"""Calls to a judge, for verdicts or for grades: those that are not kept are asked, and what all of them took is summed.

Belongs here: which calls are new, refusing what is not done, totals.
Does not belong here: which calls to make (judge.py, evaluation/rubrics/grading.py), making them (calls.py,
inference/served/).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from medcot_pipeline.inference.endpoint import OptionRefused
from medcot_pipeline.inference.served.calls import Unanswered
from medcot_pipeline.inference.served.paid import Paid, PaidCache, ReplyCut
from medcot_pipeline.records.judgement import JudgeCalls, JudgeTokens, PaidCalls
from medcot_pipeline.settings import JudgeServerSettings, JudgeSettings
from medcot_pipeline.support.errors import MedcotError


class Keyed(Protocol):
    """A call that knows what it depends on."""

    def key(self, settings: JudgeServerSettings) -> str:
        """Hash of everything that what comes of it depends on."""
        ...


C = TypeVar("C", bound=Keyed)
P = TypeVar("P", bound=Paid)


@dataclass(frozen=True)
class CallTotals:
    """What distinct calls took, whichever run paid for them; `paid` is what this run asked and found in the cache.

    `served`: the models that the endpoint says it used: some serve another than the one that was asked for. `changed`:
    what was asked otherwise than wanted, since the endpoint does not take it. `calls` includes the probes; the failed
    were refused by the endpoint, each by itself, and `errors` counts them by their status.
    """

    served: tuple[str, ...]
    changed: tuple[str, ...]
    calls: JudgeCalls
    errors: dict[str, int]
    tokens: JudgeTokens
    paid: PaidCalls

    def recorded(self) -> dict[str, Any]:
        """The fields of a record: the same whether a run was interrupted or not."""
        return {name: getattr(self, name) for name in ("served", "changed", "calls", "errors", "tokens")}


@dataclass(frozen=True)
class Asked(Generic[P]):
    """What came of calls, by their keys: of those that were answered, and why the others were refused."""

    answered: dict[str, P]
    refused: dict[str, str]
    totals: CallTotals


def ask_what_is_new(
    calls: Iterable[C],
    settings: JudgeServerSettings,
    cache: PaidCache[P],
    ask: Callable[[Sequence[C], JudgeServerSettings, PaidCache[P], Callable[[int], None]], Unanswered[C]],
    says_nothing: Callable[[P], bool],
    progress: Callable[[int, int], None],
) -> Asked[P]:
    """Ask the calls that are not in the cache, each once, and put the others beside them.

    Args:
        calls: in any order; several with one key are one.
        settings: the endpoint.
        cache: what earlier calls came to; what new ones come to is kept there.
        ask: asks pending calls, and returns those without an answer.
        says_nothing: whether what a call came to counts as invalid.
        progress: told (calls done, calls in all), from this thread.

    Raises:
        MedcotError: calls have no answer.
    """
    distinct = {call.key(settings): call for call in calls}
    pending = [call for key, call in distinct.items() if key not in cache.kept]
    cached = len(distinct) - len(pending)
    left = ask(pending, settings, cache, lambda done: progress(cached + done, len(distinct)))
    _require_answers(left, len(distinct), settings)
    refused = {call.key(settings): str(error) for call, error in left.failed}
    answered = {key: cache.kept[key] for key in distinct if key not in refused}
    found = answered.values()
    totals = CallTotals(
        served=tuple(sorted({each.served for each in found} - {""})),
        changed=tuple(sorted({change for each in found for change in each.changed})),
        calls=JudgeCalls(
            answered=len(answered),
            invalid=sum(map(says_nothing, found)),
            repaired=sum(each.repaired for each in found),
            failed=len(refused),
        ),
        errors=dict(sorted(Counter(refused.values()).items())),
        tokens=JudgeTokens(
            prompt=sum(each.prompt_tokens for each in found),
            completion=sum(each.completion_tokens for each in found),
        ),
        paid=PaidCalls(asked=len(pending), cached=cached),
    )
    return Asked(answered, refused, totals)


def _require_answers(left: Unanswered[Any], total: int, settings: JudgeServerSettings) -> None:
    """Refuse what is not done: calls without an answer, or an endpoint that refuses call after call.

    Raises:
        MedcotError: with the reasons, what is kept, and which setting helps.
    """
    refused_alone = all(error.refused for _, error in left.failed) and not left.not_asked and not left.gave_up
    if refused_alone and len(left) < total:
        return
    own, option = settings.variables, next((e.option for _, e in left.failed if isinstance(e, OptionRefused)), "")
    way_out = "Run `medcot sync` again: answered calls are kept and not paid again."
    if any(isinstance(error, ReplyCut) for _, error in left.failed):
        way_out = f"Set {own}__MAX_TOKENS above {settings.max_tokens:,}: answered calls are not paid again."
    elif option == "max_tokens":
        way_out = f"Set {own}__MAX_TOKENS below {settings.max_tokens:,}."
    elif len(left) == total:
        way_out = f"Start the endpoint, or correct {own}__BASE_URL, {own}__MODEL or {own}__API_KEY."
    said = "answers no call" if len(left) == total else f"left {len(left):,} of {total:,} calls unanswered"
    which, without = (
        ("judge", "without a judge") if own == JudgeSettings.variables else ("second judge", "with one judge")
    )
    raise MedcotError(
        f"{own}__BASE_URL={settings.base_url}: the {which} {settings.model!r} {said} ({left.counts()}).",
        f"{way_out} Without {own}__BASE_URL the report is made {without}.",
    )
