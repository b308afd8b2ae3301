"""Every number of a report stands in an interval, or its kind is one of which the page says why it has none."""

from collections.abc import Iterator
from typing import Any

import pytest

from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline.evaluation.report.words.definitions import DEFINITIONS
from medcot_pipeline_tests.unit.evaluation.report import test_report
from medcot_pipeline_tests.unit.evaluation.report.test_golden_reports import CASES

COUNTS = "counts, tokens, seconds, prices"
P_VALUES = "p-values"
PICTURES = "pictures: histogram, scatter, curves of the training run"
SET = "margins and settings"
POINTS = "other definitions of perplexity"
LENGTH = "length of answers"
KINDS: dict[str, str] = {
    **dict.fromkeys(("mcnemar_p", "sign_test_p", "longer_p"), P_VALUES),
    **dict.fromkeys(("mean_base", "mean_tuned"), LENGTH),
    **dict.fromkeys(("least_n", "limit", "schema_version", "least_chars", "parameters", "adapter_parameters"), SET),
    **dict.fromkeys(("tokens_per_second", "seconds", "minutes", "price"), COUNTS),
    "max_logit_difference": COUNTS,
}
"""Kind of a number by the name of its field; whole numbers are counts unless they stand here."""
WITHIN: dict[str, str] = {
    "histogram": PICTURES,
    "points": PICTURES,
    "training": PICTURES,
    "examples": PICTURES,
    "constraints": SET,
    "seeds": SET,
    "settings": SET,
    "trainer_style": POINTS,
    "table": POINTS,
    "requirements": "instructions kept, answers given",
    "scores": "rubric score",
}
"""Kind of everything below a field. A requirement repeats a figure with the end of its interval that counts."""
REPEATED = {"relative_drop": "perplexity"}
"""Of a figure whose interval stands beside it: 1 - ratio."""


def numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int | float]]:
    """Every number without an interval of its own, with the names that lead to it."""
    if isinstance(value, dict):
        own = {"value", "low", "high"} if {"value", "low", "high"} <= set(value) else set()
        own |= {"low", "high"} if {"interval", "low", "high"} <= set(value) else set()
        beside = {"value"} if "interval" in value else set()
        for name, each in value.items():
            if name not in own | beside:
                yield from numbers(each, (*path, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from numbers(each, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def kind_of(path: tuple[str, ...], value: int | float) -> str | None:
    """The entry of the definitions that says why the number has no interval."""
    around = next((WITHIN[name] for name in path if name in WITHIN), None)
    named = KINDS.get(path[-1]) or REPEATED.get(path[-1]) or around
    return named or (COUNTS if isinstance(value, int) else None)


@pytest.mark.parametrize("name", CASES)
def test_every_number_has_an_interval_or_the_page_says_why_not(name: str) -> None:
    made = test_report.report(**CASES[name])
    explained = {each.figure for each in DEFINITIONS}
    without = {path: kind_of(path, value) for path, value in numbers(made.model_dump())}
    assert {path for path, kind in without.items() if kind not in explained} == set()


def test_every_definition_stands_on_the_page_with_its_interval() -> None:
    text = test_report.Page(render_report(test_report.report())).text
    assert all(each.figure in text and each.interval in text for each in DEFINITIONS)
    assert len({each.figure for each in DEFINITIONS}) == len(DEFINITIONS)
