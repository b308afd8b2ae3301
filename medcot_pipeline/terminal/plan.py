"""What `medcot plan` prints.

Belongs here: the plan as a table and as JSON.
Does not belong here: what is stale, and why (pipeline/plan.py); what training or writing will take (the rooms).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medcot_pipeline.artifacts.prune import size
from medcot_pipeline.corpus.sources.incoming import passed_over
from medcot_pipeline.evaluation.answers.outlook import answer_lines
from medcot_pipeline.evaluation.exams.outlook import exam_lines
from medcot_pipeline.evaluation.perplexity.packing.outlook import perplexity_lines
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.progress import duration, size_text
from medcot_pipeline.terminal.screen import Screen, since, table_lines
from medcot_pipeline.training.plan.outlook import training_lines

COLOURS = {"fresh": "green", "stale": "yellow", "missing": "red", "waiting": "cyan"}
TITLES = ("Asset", "Status", "Made", "Took", "Size", "Why")
OUTLOOKS = {
    "Training": training_lines,
    "Perplexity": perplexity_lines,
    "Answers": answer_lines,
    "Exams": exam_lines,
}
"""What the plan says of stages that take long: lines, or none where there is nothing to do."""
SCHEMA = 1
"""Raised when a field of the JSON goes or changes its meaning; a new field does not raise it."""


def plan_lines(workspace: Workspace, plan: Sequence[PlanLine], screen: Screen) -> Iterator[str]:
    """The plan for people: a line for each asset, the outlook, what a sync would do.

    A terminal shows age, time and size of an asset too. A pipe gets name, status and reasons, as scripts expect.
    """
    yield f"Profile {workspace.profile}, data in {workspace.data}"
    rows = [_row(line) if screen.width is not None else _short_row(line) for line in plan]
    yield from table_lines(TITLES, rows, screen, COLOURS)
    yield from passed_over_lines(workspace)
    for title, said in _outlook(workspace, plan).items():
        yield from (f"{'' if number else f'{title}:':12}{line}" for number, line in enumerate(said))
    yield _cost(plan)


def plan_json(workspace: Workspace, plan: Sequence[PlanLine]) -> dict[str, Any]:
    """The plan for programs.

    Returns:
        `schema`: number of this form. `profile`, `data`: the profile's name, and the data folder. `assets`: for each,
        after its inputs: `asset`; `status`: fresh, stale, missing or waiting; `reasons`: texts; `fingerprint`: that it
        is to have, null while an input is missing; and of its current artifact, null where there is none: `made` (ISO
        8601, UTC), `seconds` (that making it took) and `bytes`. `passed_over`: texts about files of further rows that
        are not read. `outlook`: texts by what takes long: training, perplexity, answers, exams.
    """
    return {
        "schema": SCHEMA,
        "profile": workspace.profile,
        "data": str(workspace.data),
        "assets": [
            {
                "asset": line.asset,
                "status": line.status,
                "reasons": list(line.reasons),
                "fingerprint": line.wanted,
                "made": line.current.manifest.created if line.current else None,
                "seconds": line.seconds,
                "bytes": size(line.current.folder) if line.current else None,
            }
            for line in plan
        ],
        "passed_over": passed_over(workspace.settings.source, workspace.data),
        "outlook": {title.lower(): said for title, said in _outlook(workspace, plan).items()},
    }


def passed_over_lines(workspace: Workspace) -> list[str]:
    """What lies among the further rows and is not read."""
    return [f"  {line}" for line in passed_over(workspace.settings.source, workspace.data)]


def _short_row(line: PlanLine) -> tuple[str, ...]:
    return line.asset, line.status, "", "", "", "; ".join(line.reasons)


def _row(line: PlanLine) -> tuple[str, ...]:
    current = line.current
    made = since(current.manifest.created) if current else ""
    took = "" if line.seconds is None else duration(line.seconds)
    takes = size_text(size(current.folder)) if current else ""
    return line.asset, line.status, made, took, takes, "; ".join(line.reasons)


def _outlook(workspace: Workspace, plan: Sequence[PlanLine]) -> Mapping[str, list[str]]:
    by_asset = {line.asset: line for line in plan}
    return {title: lines_of(workspace, by_asset) for title, lines_of in OUTLOOKS.items()}


def _cost(plan: Sequence[PlanLine]) -> str:
    """What a sync would do, and how long it took last time."""
    open_lines = [line for line in plan if line.status != "fresh"]
    if not open_lines:
        return "Everything is fresh."
    known = [line.seconds for line in open_lines if line.seconds is not None]
    cost = f"; the current ones took {duration(sum(known))}" if known else ""
    unknown = len(open_lines) - len(known)
    never = f" ({unknown} never ran)" if known and unknown else ""
    return f"`medcot sync` would look at {len(open_lines)} of {len(plan)} assets{cost}{never}."
