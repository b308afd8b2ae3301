"""Progress in a real terminal, and in a pipe."""

import subprocess
import sys

from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.pseudo_terminal import shown_in_terminal

SAY = """
import sys
import dagster as dg
from medcot_pipeline.orchestration.console import console_logger, end_live_line

log = console_logger(dg.build_init_logger_context(logger_config={"log_level": "INFO"}))
for line in sys.argv[1:]:
    log.info(line)
end_live_line()
print("Done.")
"""
START = "(7/22) qlora_adapter: started"
FIRST = "(7/22) qlora_adapter: training: 3 of 20 (15%), 2 min 10 s left"
SECOND = "(7/22) qlora_adapter: training: 9 of 20 (45%), 1 min 02 s left"
OTHER = "(11/22) base_answers: answers: 306 of 2,880 (11%), 30 s left, tokens, 3 finished, 15 running"
END = "(7/22) qlora_adapter: published in 3 min 00 s"


def say(*lines: str) -> list[str]:
    return [sys.executable, "-c", SAY, *lines]


def shown(text: str) -> list[str]:
    """What stands on the screen: times are left out, and of each row what was written over what."""
    return [row.rpartition("\r\x1b[K")[2][9:] for row in text.split("\n")]


def in_terminal(home: Home, *lines: str, columns: int = 120, **variables: str) -> str:
    status, text = shown_in_terminal(say(*lines), home.environment(**variables), columns=columns)
    assert status == 0, text
    return text


def test_in_a_terminal_lines_about_one_piece_of_work_replace_one_another(fresh_home: Home) -> None:
    text = in_terminal(fresh_home, START, FIRST, SECOND, END, OTHER)
    assert shown(text)[:4] == [START, SECOND, END, OTHER]
    assert text.endswith("\nDone.\n"), "what comes after a live line has a line of its own"


def test_progress_of_other_work_takes_a_line_of_its_own(fresh_home: Home) -> None:
    assert shown(in_terminal(fresh_home, FIRST, OTHER))[:2] == [FIRST, OTHER]


def test_a_live_line_fits_its_row(fresh_home: Home) -> None:
    rows = in_terminal(fresh_home, START, FIRST, SECOND, columns=40).split("\n")
    assert len(rows[1].rpartition("\r\x1b[K")[2]) == 39


def test_json_lines_stay_as_they_are_in_a_terminal(fresh_home: Home) -> None:
    text = in_terminal(fresh_home, FIRST, SECOND, MEDCOT_LOG_FORMAT="json")
    assert [row[0] for row in text.splitlines()] == ["{", "{", "D"]


def test_in_a_pipe_every_line_stays(fresh_home: Home) -> None:
    lines = [START, FIRST, SECOND, OTHER, END]
    done = subprocess.run(say(*lines), env=fresh_home.environment(), capture_output=True, text=True, timeout=60)
    assert [line[9:] for line in done.stderr.splitlines()] == lines
    assert done.stdout == "Done.\n"
