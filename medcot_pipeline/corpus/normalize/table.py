"""Normalisation of a table of rows: the text, the key, the language, the flags, and what was removed.

Belongs here: one pass over the rows, counts and examples per rule.
Does not belong here: the rules themselves (text.py, noise.py), duplicates (corpus/dedup/duplicates.py), files.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import polars as pl

from medcot_pipeline.corpus.normalize.noise import NOISE_RULES, NormalizedRow
from medcot_pipeline.corpus.normalize.text import trace
from medcot_pipeline.corpus.normalize.text_rules import RULES
from medcot_pipeline.corpus.sources.forms import unwrap_thought
from medcot_pipeline.settings import NormalizeSettings
from medcot_pipeline.support.errors import MedcotError

FIELDS = ("question", "reasoning", "answer")
UNWRAPPED = "think_around_reasoning"
"""Name among the rules of taking `<think>` and `</think>` away from around a whole reasoning."""
CHUNK_ROWS = 2_000
"""Rows held as Python objects at a time, and rows between two calls of `progress`."""
NORMALIZED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "row_id": pl.String,
    "question": pl.String,
    "reasoning": pl.String,
    "answer": pl.String,
    "key": pl.String,
    "language": pl.String,
    "flags": pl.List(pl.String),
}
REMOVED_SCHEMA = {"row_id": pl.String, "question": pl.String, "reason": pl.String, "detail": pl.String}


@dataclasses.dataclass(frozen=True)
class NormalizedCorpus:
    """Rows that stay (`NORMALIZED_SCHEMA`), rows that do not (`REMOVED_SCHEMA`), and what each rule did.

    Attributes:
        rows: normalised; `key` is the comparison key of the question's stem without options; the input's order.
        removed: `question` as it was read; `reason` is a noise rule, `detail` what it found.
        rules: one row per rule: rule, action (convert, drop, flag, ignore), rows, share (of all rows, 0 to 1),
            example_before, example_after.
    """

    rows: pl.DataFrame
    removed: pl.DataFrame
    rules: list[dict[str, str | int | float]]


@dataclasses.dataclass
class _Tally:
    """Rows a rule met, and the place in the one with the smallest row_id, so that row order does not show."""

    action: str
    rows: int = 0
    example_id: str = ""
    before: str = ""
    after: str = ""

    def count(self, row_id: str, example: Callable[[], tuple[str, str]]) -> None:
        if not self.rows or row_id < self.example_id:
            self.example_id, (self.before, self.after) = row_id, example()
        self.rows += 1


def normalize_rows(
    rows: pl.DataFrame,
    settings: NormalizeSettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NormalizedCorpus:
    """Normalise every row, then judge it by the noise rules.

    Args:
        rows: `row_id`, `question`, `reasoning`, `answer`, all text, as read; a null is an empty text.
        settings: what each defect leads to.
        progress: called with rows done and rows in all.

    Returns:
        Every row of the input is in exactly one of `rows` and `removed`, in the input's order.

    Raises:
        MedcotError: a column is missing.
    """
    missing = [name for name in ("row_id", *FIELDS) if name not in rows.columns]
    if missing:
        raise MedcotError(f"Rows to normalise: no column {', '.join(missing)} (columns: {', '.join(rows.columns)}).")
    tallies = {rule.name: _Tally("convert") for rule in RULES}
    tallies |= {UNWRAPPED: _Tally("convert")}
    tallies |= {rule.name: _Tally(rule.action(settings)) for rule in NOISE_RULES}
    kept, removed = [pl.DataFrame(schema=NORMALIZED_SCHEMA)], [pl.DataFrame(schema=REMOVED_SCHEMA)]
    done = 0
    for chunk in rows.select("row_id", *FIELDS).iter_slices(CHUNK_ROWS):
        stays, goes = _normalize_chunk(chunk, settings, tallies)
        kept.append(pl.DataFrame(stays, schema=NORMALIZED_SCHEMA, orient="row"))
        removed.append(pl.DataFrame(goes, schema=REMOVED_SCHEMA, orient="row"))
        done += chunk.height
        progress(done, rows.height)
    rules = [_rule_row(name, tally, rows.height) for name, tally in tallies.items()]
    return NormalizedCorpus(pl.concat(kept), pl.concat(removed), rules)


def _normalize_chunk(
    chunk: pl.DataFrame, settings: NormalizeSettings, tallies: dict[str, _Tally]
) -> tuple[list[tuple[object, ...]], list[tuple[str, str, str, str]]]:
    """Records of `NORMALIZED_SCHEMA` and of `REMOVED_SCHEMA`."""
    kept: list[tuple[object, ...]] = []
    removed: list[tuple[str, str, str, str]] = []
    for row_id, *read in chunk.iter_rows():
        fields = [field or "" for field in read]
        row = NormalizedRow.of(*_normalize_fields(row_id, fields, tallies))
        flags, reason, detail = _judge(row_id, row, settings, tallies)
        if reason:
            removed.append((row_id, fields[0], reason, detail))
        else:
            kept.append((row_id, row.question, row.reasoning, row.answer, row.key, row.language, flags))
    return kept, removed


def _normalize_fields(row_id: str, fields: list[str], tallies: dict[str, _Tally]) -> list[str]:
    """The fields normalised; a rule counts once for a row however many fields it changed."""
    texts, met = [], set()
    question, reasoning, answer = fields
    bare = unwrap_thought(reasoning)
    if bare != reasoning:
        tallies[UNWRAPPED].count(row_id, partial(_first_difference, reasoning, bare))
    for field in (question, bare, answer):
        text, conversions = trace(field)
        texts.append(text)
        for conversion in conversions:
            if conversion.rule not in met:
                met.add(conversion.rule)
                tallies[conversion.rule].count(row_id, partial(_first_difference, conversion.before, conversion.after))
    return texts


def _judge(
    row_id: str, row: NormalizedRow, settings: NormalizeSettings, tallies: dict[str, _Tally]
) -> tuple[list[str], str, str]:
    """Flags of a row, or the rule that drops it and what that found; every rule that is not ignored counts."""
    flags, reason, detail = [], "", ""
    for rule in NOISE_RULES:
        tally = tallies[rule.name]
        found = "" if tally.action == "ignore" else rule.find(row, settings)
        if not found:
            continue
        tally.count(row_id, partial(lambda shown: (shown, ""), found))
        if tally.action == "flag":
            flags.append(rule.name)
        elif not reason:
            reason, detail = rule.name, found
    return flags, reason, detail


def _first_difference(before: str, after: str) -> tuple[str, str]:
    """The first place where two texts differ, with twelve characters before it and twenty-four from it on."""
    shorter = min(len(before), len(after))
    start = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    place = slice(max(0, start - 12), start + 24)
    return before[place], after[place]


def _rule_row(name: str, tally: _Tally, total: int) -> dict[str, str | int | float]:
    return {
        "rule": name,
        "action": tally.action,
        "rows": tally.rows,
        "share": tally.rows / total if total else 0.0,
        "example_before": tally.before,
        "example_after": tally.after,
    }
