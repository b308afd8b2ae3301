"""The figures as one table: every definition with both arms, their ratio, and why one has no interval.

Belongs here: names of the rows, and what is said of them.
Does not belong here: computing figures (figures.py, definitions.py).
"""

from collections.abc import Iterator, Mapping

from medcot_pipeline.records.figures import ByArm, Compared, Interval, Point
from medcot_pipeline.records.perplexity import DefinitionRow, PerplexityFigures

MEANINGS: Mapping[str, str] = {
    "full_text": "prompt and completion together",
    "macro": "completion, mean over rows instead of tokens",
}
TRAINER = "completion, mean of batches of 8 (exp of the Trainer's eval_loss)"
NO_INTERVAL = "by definition a point: it depends on which rows share a batch"
TOO_FEW = "no interval: it takes two groups of rows at least, and some likeness between them"


def definition_rows(figures: PerplexityFigures) -> list[DefinitionRow]:
    """The figures as a table, a row for each that was measured."""
    return [_row(name, each) for name, each in _figures(figures)]


def _figures(figures: PerplexityFigures) -> Iterator[tuple[str, Compared | ByArm[Point]]]:
    yield "completion (headline)", figures
    for language, of_language in figures.languages.items():
        yield f"completion, {language} ({of_language.rows:,} rows)", of_language
    yield "completion without marks", figures.content
    for language, of_language in figures.languages.items():
        yield f"completion without marks, {language}", of_language.content
    yield from ((f"{name} only", each) for name, each in figures.segments)
    yield "completion, bits per byte", figures.bits_per_byte
    yield MEANINGS["full_text"], figures.definitions.full_text
    yield MEANINGS["macro"], figures.definitions.macro
    yield TRAINER, figures.definitions.trainer_style
    if figures.general:
        yield "general passages (forgetting)", figures.general
        for language, general in figures.general.languages.items():
            yield f"general passages, {language}", general
    if figures.overfitting:
        yield "held-out over training (overfitting)", figures.overfitting


def _row(name: str, each: Compared | ByArm[Point]) -> DefinitionRow:
    if isinstance(each, Compared):
        note = "" if all(_bounded(value) for value in (each.base, each.tuned, each.ratio)) else TOO_FEW
        return DefinitionRow(definition=name, base=each.base, tuned=each.tuned, ratio=each.ratio, note=note)
    ratio = Point(value=each.tuned.value / each.base.value)
    return DefinitionRow(definition=name, base=each.base, tuned=each.tuned, ratio=ratio, note=NO_INTERVAL)


def _bounded(value: Interval) -> bool:
    return value.low is not None
