"""What `medcot status` prints: how things stand.

Belongs here: the facts as dataclasses, and how they look.
Does not belong here: finding the facts in Dagster and on the disk (orchestration/instance/status.py).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from medcot_pipeline.support.progress import duration, size_text
from medcot_pipeline.terminal.screen import Screen, since, table_lines

COLOURS = {"missing": "red"}
TITLES = ("Asset", "Fingerprint", "Made", "Size", "Notes")
SCHEMA = 1
"""Raised when a field of the JSON goes or changes its meaning; a new field does not raise it."""


@dataclasses.dataclass(frozen=True)
class CurrentArtifact:
    """The current artifact of an asset; every other field is None or empty where there is none.

    Attributes:
        asset: its name.
        fingerprint: of the artifact.
        made: when, in ISO 8601, UTC.
        bytes: that it takes on the disk.
        reused: whether the last run found it made before.
        notes: what else a person should know, such as `promoted`.
    """

    asset: str
    fingerprint: str | None = None
    made: str | None = None
    bytes: int | None = None
    reused: bool = False
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class UnfinishedRun:
    """A run that has not ended.

    Attributes:
        run: its id.
        status: as Dagster calls it, in lower case.
        for_seconds: since it began; None before that.
        process: that works on it, where that is known.
        gone: whether that process is proven to be gone.
        said: the last line that a stage said.
    """

    run: str
    status: str
    for_seconds: float | None
    process: str | None
    gone: bool
    said: str | None


@dataclasses.dataclass(frozen=True)
class FailedRun:
    """A run that failed: its id, when (ISO 8601, UTC), and why in one line."""

    run: str
    time: str
    reason: str


@dataclasses.dataclass(frozen=True)
class HomeStatus:
    """How a data folder and a Dagster home stand.

    Attributes:
        profile: the profile's name.
        data: the data folder.
        used_bytes: by folder of the data folder.
        free_bytes: of its disk.
        gpu: who holds the GPU; empty where it is free.
        passed_over: texts about files of further rows that are not read.
        promoted: fingerprint of the promoted adapter.
        current: for every asset.
        runs: that have not ended.
        failures: the last ones, newest first.
    """

    profile: str
    data: str
    used_bytes: Mapping[str, int]
    free_bytes: int
    gpu: tuple[str, ...]
    passed_over: tuple[str, ...]
    promoted: str | None
    current: tuple[CurrentArtifact, ...]
    runs: tuple[UnfinishedRun, ...]
    failures: tuple[FailedRun, ...]


def status_json(status: HomeStatus) -> dict[str, Any]:
    """The status for programs: `schema`, and the fields of `HomeStatus`, with those of what it holds."""
    return {"schema": SCHEMA, **dataclasses.asdict(status)}


def status_lines(status: HomeStatus, screen: Screen) -> list[str]:
    """The status for people."""
    used = ", ".join(f"{name} {size_text(count)}" for name, count in status.used_bytes.items()) or "nothing"
    return [
        f"Profile {status.profile}, data in {status.data}",
        f"Disk: {used}; {size_text(status.free_bytes)} free",
        f"GPU: {', '.join(status.gpu) or 'free'}",
        *(f"Further rows: {line}" for line in status.passed_over),
        "Current:",
        *table_lines(TITLES, [_row(each) for each in status.current], screen, COLOURS),
        "Runs:",
        *([line for run in status.runs for line in _run_lines(run)] or ["  none"]),
        "Last failures:",
        *([f"  {since(each.time):12} {each.run[:8]}  {each.reason}" for each in status.failures] or ["  none"]),
    ]


def _row(current: CurrentArtifact) -> tuple[str, ...]:
    if current.fingerprint is None or current.made is None or current.bytes is None:
        return current.asset, "missing", "", "", ""
    notes = ["used again by the last run"] if current.reused else []
    made = f"made {since(current.made)}"
    return current.asset, current.fingerprint[:12], made, size_text(current.bytes), ", ".join([*notes, *current.notes])


def _run_lines(run: UnfinishedRun) -> list[str]:
    lasts = "" if run.for_seconds is None else f", for {duration(run.for_seconds)}"
    where = f", {run.process}" if run.process else ""
    gone = ", which is gone: run `medcot doctor`" if run.gone else ""
    return [f"  {run.run[:8]} {run.status}{lasts}{where}{gone}", *([f"           {run.said}"] if run.said else [])]
