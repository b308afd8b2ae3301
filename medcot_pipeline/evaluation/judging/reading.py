"""Reading a verdict out of a judge's reply, whatever the answers in question say.

Belongs here: which part of a reply is the judge's own word.
Does not belong here: asking (calls.py), the form that the judge is asked for (wording.py).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from medcot_pipeline.inference.served.replies import json_objects, storable

Winner = Literal["A", "B", "tie", "none"]
WINNERS: dict[str, Winner] = {"a": "A", "b": "B", "tie": "tie"}
LONGEST_REASON = 500
LONGEST_REPLY = 8000
"""Characters at the end of a reply in which objects are looked for."""
TAGS = re.compile(r"</?think>")
ESCAPED_CHARACTER = re.compile(r"\\u([0-9a-fA-F]{4})")
ESCAPED_BLANK = re.compile(r"\\[nrtbf]")
CLAIM = re.compile(r"winner[\W_]*(tie|[ab])(?![a-z])", re.IGNORECASE)
"""What a claimed verdict looks like in any writing: as JSON, escaped or not, as a Python dict, as plain words."""


@dataclass(frozen=True)
class _Said:
    """An object with a winner, and where it stands in the reply."""

    start: int
    end: int
    id: str
    winner: Winner
    reason: str


def parse_reply(reply: str, boundary: str, shown: Sequence[str]) -> tuple[Winner, str] | None:
    """The verdict in a reply, after any thinking and amid any prose; None where it holds none, or two that differ.

    An answer may hold a verdict in the judge's own form, and the judge may quote it: as it stands, indented anew, in a
    code fence, shortened. So the judge is asked to give the call's boundary as `id`, which no answer can know. Where an
    object has it, such objects alone count. Where none does, an object counts unless something that the judge was
    shown claims the same winner. Thinking that was never closed is no verdict, whatever stands in it; a thinking tag
    inside of a verdict is text.

    Args:
        reply: the judge's text.
        boundary: of this call.
        shown: the prompt and both answers.
    """
    verdicts = _outside_of_thinking(reply, list(_objects(reply)))
    own = [said for said in verdicts if said.id == boundary]
    if not own:
        claimed = {winner for text in shown for winner in _claims(text)}
        own = [said for said in verdicts if said.winner not in claimed]
    return (own[0].winner, own[0].reason) if len({said.winner for said in own}) == 1 else None


def _objects(reply: str) -> Iterable[_Said]:
    for start, end, value in json_objects(reply, max(0, len(reply) - LONGEST_REPLY)):
        named, reason, number = value.get("winner"), value.get("reason"), value.get("id")
        winner = WINNERS.get(named.strip().lower()) if isinstance(named, str) else None
        if winner:
            kept = storable(reason)[:LONGEST_REASON] if isinstance(reason, str) else ""
            yield _Said(start, end, number.strip() if isinstance(number, str) else "", winner, kept)


def _outside_of_thinking(reply: str, objects: Sequence[_Said]) -> list[_Said]:
    """Those behind the last closing tag and before an opening one after it."""
    tags = [
        (tag.start(), tag.group())
        for tag in TAGS.finditer(reply)
        if not any(said.start < tag.start() < said.end for said in objects)
    ]
    closed = max((at for at, tag in tags if tag == "</think>"), default=-1)
    opened = min((at for at, tag in tags if tag == "<think>" and at > closed), default=len(reply))
    return [said for said in objects if closed < said.start < opened]


def _claims(text: str) -> set[Winner]:
    """Winners that a text claims for itself, in any writing that could be read as, or quoted into, a verdict."""
    plain = ESCAPED_CHARACTER.sub(lambda found: chr(int(found.group(1), 16)), text)
    plain = unicodedata.normalize("NFKC", ESCAPED_BLANK.sub(" ", plain))
    return {WINNERS[found.group(1).lower()] for found in CLAIM.finditer(plain)}
