"""What `medcot` alone prints: where one stands, and the next step.

Belongs here: the summary, and which command comes next.
Does not belong here: the details (plan.py, status.py).
"""

from collections.abc import Sequence
from pathlib import Path

from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.progress import duration
from medcot_pipeline.terminal.pages import report_page
from medcot_pipeline.terminal.plan import COLOURS
from medcot_pipeline.terminal.screen import Screen, since, wrapped
from medcot_pipeline.terminal.status import FailedRun, UnfinishedRun

INDENT = 14
"""Characters before every fact, for its name."""


def standing_lines(
    workspace: Workspace,
    plan: Sequence[PlanLine],
    runs: Sequence[UnfinishedRun] | None,
    failure: FailedRun | None,
    screen: Screen,
) -> list[str]:
    """A line for each thing that a person asks first.

    Args:
        workspace: settings and store.
        plan: the line of every asset.
        runs: that have not ended; None where there is no Dagster home yet.
        failure: the last run that failed.
        screen: where the lines go.
    """
    statuses = [line.status for line in plan]
    counts = [
        screen.painted(f"{statuses.count(status)} {status}", colour)
        for status, colour in COLOURS.items()
        if status in statuses
    ]
    promoted, report = Promoted(workspace.data).fingerprint, report_page(workspace)
    facts = {
        "Profile": workspace.profile,
        "Data": str(workspace.data),
        "Assets": f"{', '.join(counts)} of {len(plan)}",
        **({"Running": ", ".join(map(_said, runs))} if runs else {}),
        "Last failure": f"{since(failure.time)}, {failure.reason}" if failure else "none",
        "Promoted": f"adapter {promoted[:12]}" if promoted else "no adapter yet",
        "Report": str(report) if report.is_file() else "none yet",
        **_found(report.with_name("report.json")),
        "Next": next_step(plan, runs),
    }
    return [
        f"{'' if number else f'{name}:':{INDENT}}{line}"
        for name, value in facts.items()
        for number, line in enumerate(wrapped(value, INDENT, screen))
    ]


def next_step(plan: Sequence[PlanLine], runs: Sequence[UnfinishedRun] | None) -> str:
    """The command that comes next; arguments as for `standing_lines`."""
    if runs is None:
        return "medcot init"
    if any(run.gone for run in runs):
        return "medcot doctor"
    if runs:
        return "medcot status"
    return "medcot open report" if all(line.status == "fresh" for line in plan) else "medcot sync"


def _found(report: Path) -> dict[str, str]:
    """The report's first paragraph; nothing where there is no report, or one of an earlier release without it."""
    said = read_json(report).get("summary_en") if report.is_file() else None
    return {"Found": said} if said else {}


def _said(run: UnfinishedRun) -> str:
    if run.gone:
        return f"run {run.run[:8]}, whose process is gone"
    return f"run {run.run[:8]}" if run.for_seconds is None else f"run {run.run[:8]}, for {duration(run.for_seconds)}"
