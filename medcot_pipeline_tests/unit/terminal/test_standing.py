"""The one next step, by where a person stands."""

from collections.abc import Sequence

import pytest

from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.terminal.pages import report_page
from medcot_pipeline.terminal.screen import Screen
from medcot_pipeline.terminal.standing import next_step, standing_lines
from medcot_pipeline.terminal.status import FailedRun, UnfinishedRun
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.planning import ALL, make

workspace = planning.workspace
LIVING = UnfinishedRun("0123456789", "started", 65.0, "process 7 on here", gone=False, said=None)
DEAD = UnfinishedRun("9876543210", "started", 65.0, "process 8 on here", gone=True, said=None)


@pytest.mark.parametrize(
    ("runs", "command"),
    [(None, "medcot init"), ([], "medcot sync"), ([LIVING], "medcot status"), ([LIVING, DEAD], "medcot doctor")],
)
def test_the_next_step_over_an_empty_folder(
    workspace: Workspace, runs: Sequence[UnfinishedRun] | None, command: str
) -> None:
    assert next_step(make_plan(workspace), runs) == command


def test_once_everything_is_fresh_the_next_step_is_to_read_the_report(workspace: Workspace) -> None:
    make(workspace, *ALL)
    assert next_step(make_plan(workspace), []) == "medcot open report"


def test_where_one_stands_has_a_line_for_each_question(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1", "base_model")
    failure = FailedRun("0123456789", "2026-01-02T03:04:05+00:00", "base_model: the folder is empty")
    lines = standing_lines(workspace, make_plan(workspace), [LIVING], failure, Screen())
    facts = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert facts.pop("Last failure").endswith(" days ago, base_model: the folder is empty")
    assert facts == {
        "Profile": "own",
        "Data": str(workspace.data),
        "Assets": f"2 fresh, {len(ALL) - 2} missing of {len(ALL)}",
        "Running": "run 01234567, for 1 min 05 s",
        "Promoted": "no adapter yet",
        "Report": "none yet",
        "Next": "medcot status",
    }


def test_once_there_is_a_report_its_first_paragraph_is_shown_within_the_terminal(workspace: Workspace) -> None:
    report = report_page(workspace).with_name("report.json")
    write_json(report, {"summary_en": "Perplexity fell. " * 10})
    lines = standing_lines(workspace, make_plan(workspace), [], None, Screen(width=60))
    first = next(number for number, line in enumerate(lines) if line.startswith("Found:"))
    assert lines[first] == "Found:        Perplexity fell. Perplexity fell. Perplexity"
    assert lines[first + 1].startswith(" " * 14 + "fell.")
    assert all(len(line) <= 60 for line in lines[first:])


def test_a_report_of_an_earlier_release_without_that_paragraph_is_passed_over(workspace: Workspace) -> None:
    write_json(report_page(workspace).with_name("report.json"), {"schema_version": 3})
    lines = standing_lines(workspace, make_plan(workspace), [], None, Screen())
    assert not any(line.startswith("Found:") for line in lines)
