"""Tables in a terminal and in a pipe."""

import datetime

import pytest

from medcot_pipeline.support.progress import age, size_text
from medcot_pipeline.terminal.screen import Screen, since, table_lines

TITLES = ("Asset", "Status", "Made", "Why")
COLOURS = {"fresh": "green", "stale": "yellow"}
LONG = "setting training.lora_rank: 8 -> 16; setting training.seed: 1 -> 2"
ROWS = [("base_model", "fresh", "", ""), ("qlora_adapter", "stale", "", LONG)]


def test_a_pipe_gets_one_whole_line_for_each_row_and_no_titles() -> None:
    assert table_lines(TITLES, ROWS, Screen(), COLOURS) == [
        "  base_model     fresh",
        f"  qlora_adapter  stale  {LONG}",
    ]


def test_a_terminal_gets_titles_and_wraps_the_last_column() -> None:
    lines = table_lines(TITLES, ROWS, Screen(width=60), COLOURS)
    assert lines == [
        "  Asset          Status  Why",
        "  base_model     fresh",
        "  qlora_adapter  stale   setting training.lora_rank: 8 ->",
        "                         16; setting training.seed: 1 -> 2",
    ]


def test_a_terminal_too_narrow_for_the_last_column_wraps_it_itself() -> None:
    assert table_lines(TITLES, ROWS, Screen(width=40), COLOURS)[-1] == f"  qlora_adapter  stale   {LONG}"


def test_colours_do_not_move_the_columns() -> None:
    coloured = table_lines(TITLES, ROWS, Screen(colour=True), COLOURS)
    assert coloured[1] == f"  qlora_adapter  \x1b[33mstale\x1b[0m  {LONG}"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3 * 3_600, "3 h ago"),
        (47 * 3_600, "47 h ago"),
        (12.5 * 86_400, "12 days ago"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_a_time_that_is_still_to_come_is_now() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    assert since(later.isoformat()) == "0 s ago"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 kB"), (12_300, "12 kB"), (300_000, "0.3 MB"), (1_230_000_000, "1.2 GB")]
)
def test_a_size_is_said_in_a_unit_that_shows_it(count: int, said: str) -> None:
    assert size_text(count) == said
