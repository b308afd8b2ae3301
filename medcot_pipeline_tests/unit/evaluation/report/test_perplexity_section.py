"""The section on perplexity, as a reader of the page sees it."""

import re
from typing import Any

from medcot_pipeline.evaluation.perplexity.table import NO_INTERVAL, TOO_FEW
from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline_tests.unit.evaluation.report.test_report import COMPARED, POINT, ROSE, Page, perplexity, report


def section(**changes: Any) -> str:
    """Its text, white space made one."""
    html = render_report(report(perplexity=perplexity(**changes)))
    start, end = html.index("<h2>Perplexity</h2>"), html.index("<h2>What “so many % better”")
    return re.sub(r"\s+", " ", Page(html[start:end]).text)


def test_languages_stand_beside_the_headline_and_once_more_without_marks() -> None:
    english = {"rows": 3, "groups": 3, **COMPARED, "content": {**COMPARED, "ratio": {**ROSE, "value": 1.234}}}
    text = section(languages={"en": english, "zh": {"rows": 6, "groups": 5, **COMPARED, "content": COMPARED}})
    for name in ("completion, en (3 rows)", "completion, zh (6 rows)", "completion without marks, zh"):
        assert name in text
    assert re.search(r"completion without marks, en ?1\.20.*?1\.2341\.100 to 1\.300", text)


def test_what_was_left_out_is_shown_by_language() -> None:
    left_out = {"en": {"rows": 0, "of": 28}, "zh": {"rows": 37, "of": 51}}
    text = section(left_out=37, left_out_by_language=left_out)
    assert "37en 0 of 28, zh 37 of 51" in text
    assert "5zh 5 of 60" in text
    assert "not known: the training data are others now" in section(training_left_out_by_language=None)


def test_marks_show_their_share_of_tokens_and_of_the_gain() -> None:
    share = {"value": 0.067, "low": 0.05, "high": 0.08}
    text = section(marks_share={"tokens": share, "gain": {"value": 0.3, "low": 0.25, "high": 0.35}})
    assert "6.7 % (95 % 5.0 % to 8.0 %)" in text
    assert "30.0 % (95 % 25.0 % to 35.0 %)" in text
    assert "not defined: tuned is not surely better" in section()


def test_rows_that_share_long_runs_with_training_rows_are_counted_and_compared() -> None:
    runs = {
        "least_chars": 40,
        "rows": 62,
        "of": 79,
        "languages": {"en": {"rows": 26, "of": 28}, "zh": {"rows": 36, "of": 51}},
        "ratio_with": {"value": 0.35, "low": 0.3, "high": 0.4},
        "ratio_without": {"value": 0.5, "low": None, "high": None},
    }
    text = section(shared_runs=runs)
    assert "62 of 79en 26 of 28, zh 36 of 51" in text
    assert "those rows0.3500.300 to 0.400" in text
    assert "the other rows0.500no interval: too few rows" in text


def test_a_figure_without_an_interval_says_why() -> None:
    text = section(base=POINT, tuned=POINT, ratio=POINT)
    assert f"completion (headline){TOO_FEW}" in text
    assert NO_INTERVAL in text
    assert text.count("by definition a point") == 5, "the Trainer's average, three counts, the largest difference"


def test_overfitting_names_the_rows_that_the_adapter_has_learned_from() -> None:
    text = section(overfitting={"train_rows": 15, "learned_rows": 69, **COMPARED})
    assert "15 rows drawn from the 69 that the adapter has learned from" in text
    assert "held-out over training (overfitting)" in text
