"""Normalisation of a table of rows: the text, the key, the language, the flags, and what was removed.

Belongs here: one pass over the rows, counts and examples per rule.
Does not: the rules themselves (normalize.py, noise.py), duplicates (dedup.py), files.
"""

import dataclasses
import os.path
from collections.abc import Callable

import polars as pl

from medcot_pipeline.corpus.noise import NOISE_RULES, Row, language
from medcot_pipeline.corpus.normalize import RULES, trace
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.settings.models import NormalizeSettings

FIELDS = ("question", "reasoning", "answer")
NORMALIZED_SCHEMA = {
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
    """Rows a rule met, and the first place it did."""

    action: str
    rows: int = 0
    before: str = ""
    after: str = ""

    def count(self, before: str, after: str) -> None:
        if not self.rows:
            self.before, self.after = before, after
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
    tallies |= {rule.name: _Tally(rule.action(settings)) for rule in NOISE_RULES}
    kept: list[tuple[object, ...]] = []
    removed: list[tuple[str, str, str, str]] = []
    for done, (row_id, *fields) in enumerate(rows.select("row_id", *FIELDS).iter_rows(), start=1):
        row = Row.of(*_normalize_fields([field or "" for field in fields], tallies))
        flags, reason, detail = _judge(row, settings, tallies)
        if reason:
            removed.append((row_id, fields[0] or "", reason, detail))
        else:
            kept.append((row_id, *row[:3], row.key, language("\n".join(row[:3])), flags))
        progress(done, rows.height)
    return NormalizedCorpus(
        pl.DataFrame(kept, schema=NORMALIZED_SCHEMA, orient="row"),
        pl.DataFrame(removed, schema=REMOVED_SCHEMA, orient="row"),
        [_rule_row(name, tally, rows.height) for name, tally in tallies.items()],
    )


def _normalize_fields(fields: list[str], tallies: dict[str, _Tally]) -> list[str]:
    """The fields normalised; a rule counts once for a row however many fields it changed."""
    texts, met = [], set()
    for field in fields:
        text, changes = trace(field)
        texts.append(text)
        for change in changes:
            if change.rule not in met:
                met.add(change.rule)
                tally = tallies[change.rule]
                tally.count(*(("", "") if tally.rows else _first_difference(change.before, change.after)))
    return texts


def _judge(row: Row, settings: NormalizeSettings, tallies: dict[str, _Tally]) -> tuple[list[str], str, str]:
    """Flags of a row, or the rule that drops it and what that found; every rule that is not ignored counts."""
    flags, reason, detail = [], "", ""
    for rule in NOISE_RULES:
        tally = tallies[rule.name]
        found = "" if tally.action == "ignore" else rule.find(row, settings)
        if not found:
            continue
        tally.count(found, "")
        if tally.action == "flag":
            flags.append(rule.name)
        elif not reason:
            reason, detail = rule.name, found
    return flags, reason, detail


def _first_difference(before: str, after: str) -> tuple[str, str]:
    """The first place where two texts differ, with twelve characters before it and twenty-four from it on."""
    start = len(os.path.commonprefix([before, after]))
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
