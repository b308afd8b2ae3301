"""What a grader's reply is worth: the grading in it, and whether its evidence stands in the answer.

Belongs here: reading a reply, holding evidence against the answer.
Does not belong here: asking (calls.py), what grades add up to (figures.py).
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from medcot_pipeline.inference.served.replies import json_objects, storable
from medcot_pipeline.records.rubrics.rubric import Ungradable

LONGEST_REPLY = 20_000
LONGEST_EVIDENCE = 500
SHORTEST_EVIDENCE = 4
"""Columns: two Chinese characters, or four letters. What is shorter stands in almost any answer, and shows nothing
unless it is the whole answer."""
QUOTES = "\"'“”‘’「」『』《》`*…."
"""What graders put around a quotation."""


class Said(NamedTuple):
    """What the grader said of one criterion."""

    met: bool | None
    evidence: str


def parse_grading(reply: str, nonce: str, ids: Sequence[str]) -> dict[str, Said] | None:
    """The grading in a reply by criterion, after any thinking and amid any prose.

    Only an object counts that carries the nonce of this call and has one entry for each criterion and no other: an
    object that stands in the answer carries no nonce, since the nonce is a hash over that answer. Thinking that was
    never closed is no grading. Only the last `LONGEST_REPLY` characters are read.

    Returns:
        None where the reply holds no such object, or two that differ.
    """
    said = reply.rpartition("</think>")[2]
    text = "" if "<think>" in said else said[-LONGEST_REPLY:]
    found: list[dict[str, Said]] = []
    for _, _, value in json_objects(text):
        grading = _grading(value, nonce, ids)
        if grading is not None and grading not in found:
            found.append(grading)
    return found[0] if len(found) == 1 else None


def grade(said: Said, answer: str) -> tuple[bool | None, Ungradable]:
    """Whether a criterion is met, and why not even that can be told.

    Args:
        said: what the grader said; a criterion that is said to be met needs its evidence in the answer.
        answer: what was graded.
    """
    if said.met is None:
        return None, "cannot be told"
    if said.met and not stands_in(said.evidence, answer):
        return None, "evidence not in the answer"
    return said.met, ""


def stands_in(evidence: str, answer: str) -> bool:
    """Whether a quotation stands in an answer: apart from white space, width of characters and quotation marks."""
    whole = _comparable(answer)
    quoted = {_comparable(evidence), _comparable(evidence.strip().strip(QUOTES))}
    return any(each and each in whole and (_columns(each) >= SHORTEST_EVIDENCE or each == whole) for each in quoted)


def _comparable(text: str) -> str:
    """The text in NFKC form, which has one width, without white space and characters that nobody sees."""
    return "".join(
        char
        for char in unicodedata.normalize("NFKC", text)
        if not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc")
    )


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _grading(value: dict[str, Any], nonce: str, ids: Sequence[str]) -> dict[str, Said] | None:
    if value.get("grading") != nonce or not isinstance(value.get("grades"), list):
        return None
    found: dict[str, Said] = {}
    for each in value["grades"]:
        name = each.get("id") if isinstance(each, dict) else None
        if not isinstance(name, str) or (name := name.strip(" []")) in found or "met" not in each:
            return None
        met, evidence = each["met"], each.get("evidence")
        if not (met is None or isinstance(met, bool)):
            return None
        found[name] = Said(met, storable(evidence)[:LONGEST_EVIDENCE] if isinstance(evidence, str) else "")
    return {name: found[name] for name in ids} if set(found) == set(ids) else None
