"""Where two texts differ.

Belongs here: the changed spans, showing them.
Does not belong here: what a change means (corpus/dedup/rules/guards.py).
"""

from typing import NamedTuple

from medcot_pipeline.corpus.dedup.rules.contexts import EDGE

_REACH = 5  # characters on either side of a change: with the change itself, the longest listed word
_LEAD = 3
_LONGEST_SHOWN = 40


class ChangedSpan(NamedTuple):
    """One changed span.

    Attributes:
        before: the span in the one text, empty for an addition.
        after: the span in the other, empty for a loss.
        lead: up to three characters before the span.
        right: the character after it, or EDGE.
        around_before: the span in the one text with up to five characters on both sides.
        around_after: the same in the other.
    """

    before: str
    after: str
    lead: str
    right: str
    around_before: str
    around_after: str

    @property
    def left(self) -> str:
        """The character before the span, or EDGE."""
        return self.lead[-1:] or EDGE


def changes(one: str, other: str) -> list[ChangedSpan]:
    """The changed spans of a shortest edit script (Levenshtein 1966), neighbouring operations taken together."""
    from rapidfuzz.distance import Levenshtein

    spans: list[list[int]] = []
    for step in Levenshtein.opcodes(one, other):
        if step.tag == "equal":
            continue
        if spans and spans[-1][1] == step.src_start and spans[-1][3] == step.dest_start:
            spans[-1][1], spans[-1][3] = step.src_end, step.dest_end
        else:
            spans.append([step.src_start, step.src_end, step.dest_start, step.dest_end])
    return [
        ChangedSpan(
            one[a:b],
            other[c:d],
            one[max(0, a - _LEAD) : a],
            one[b] if b < len(one) else EDGE,
            one[max(0, a - _REACH) : b + _REACH],
            other[max(0, c - _REACH) : d + _REACH],
        )
        for a, b, c, d in spans
    ]


def longest_span(found: list[ChangedSpan]) -> int:
    """Length of the longest changed span on either side, characters."""
    return max((max(len(change.before), len(change.after)) for change in found), default=0)


def difference(one: str, other: str, most: int = 5) -> str:
    """The changed spans for a reader: `患者[左→右]肺 · …`, the first `most` of them."""
    found = changes(one, other)
    shown = [f"{change.lead}[{_shortened(change.before)}→{_shortened(change.after)}]" for change in found[:most]]
    return " · ".join(shown) + (f" · and {len(found) - most} more" if len(found) > most else "")


def _shortened(span: str) -> str:
    return span if len(span) <= _LONGEST_SHOWN else f"{span[: _LONGEST_SHOWN - 1]}…"
