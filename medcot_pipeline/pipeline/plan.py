"""What is fresh, stale, missing or waiting, and why.

Belongs here: comparing identities with what is published.
Does not belong here: running anything, or Dagster's own view of staleness.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.pipeline.place import Artifact
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace

Status = Literal["fresh", "stale", "missing", "waiting"]


@dataclasses.dataclass(frozen=True)
class PlanLine:
    """One asset's status; `reasons` say which setting, input, file or code version changed."""

    asset: str
    status: Status
    reasons: tuple[str, ...]
    seconds: float | None
    """How long it took last time, where that is known."""
    wanted: str | None = None
    """The fingerprint that it is to have; None while an input of it is not there yet."""
    current: Artifact | None = None
    """The artifact that the last pass chose, fresh or not; None where there is none that is whole."""


def make_plan(workspace: Workspace) -> list[PlanLine]:
    """The status of every asset, in order.

    An asset after a stale one is `waiting`: whether it must run is known once its input is there.
    """
    lines: list[PlanLine] = []
    fresh: dict[str, Artifact] = {}
    for stage in workspace.graph.stages:
        line = _plan_line(workspace, stage, fresh)
        lines.append(line)
        if line.status == "fresh" and line.current is not None:
            fresh[stage.asset] = line.current
    return lines


def _plan_line(workspace: Workspace, stage: Stage, fresh: Mapping[str, Artifact]) -> PlanLine:
    current = workspace.current(stage.asset)
    seconds = _seconds(current)
    waiting_for = [name for name in stage.inputs if name not in fresh]
    if waiting_for:
        status: Status = "waiting" if current else "missing"
        return PlanLine(stage.asset, status, (f"waits for {', '.join(waiting_for)}",), seconds, current=current)
    wanted = workspace.identity(stage, {name: fresh[name] for name in stage.inputs})
    if current is None:
        return PlanLine(stage.asset, "missing", ("never materialised, or damaged",), seconds, wanted.fingerprint)
    if current.manifest.fingerprint == wanted.fingerprint:
        return PlanLine(stage.asset, "fresh", (), seconds, wanted.fingerprint, current)
    reasons = differences(current.manifest.identity, wanted)
    if workspace.store.find(stage.asset, wanted.fingerprint):
        reasons.append("already built: it will be reused")
    return PlanLine(stage.asset, "stale", tuple(reasons), seconds, wanted.fingerprint, current)


def changed_files(workspace: Workspace, asset: str, kind: str) -> list[str]:
    """Names of files from outside of a kind that are new, gone or other than the current artifact's.

    What else makes the asset stale, such as a setting, is not among them.
    """
    stage, current = workspace.graph.stage(asset), workspace.current(asset)
    now, before = workspace.external(stage), current.manifest.external if current else {}
    return sorted(
        name
        for name in {*now, *before}
        if (name == kind or name.startswith(f"{kind} ")) and now.get(name) != before.get(name)
    )


def differences(old: Identity, new: Identity) -> list[str]:
    """Why two identities differ, one reason a line."""
    reasons = []
    if old.code_version != new.code_version:
        reasons.append(f"code version {old.code_version} -> {new.code_version}")
    for name in sorted({*old.settings, *new.settings}):
        before, after = old.settings.get(name, "unset"), new.settings.get(name, "unset")
        if before != after:
            reasons.append(f"setting {name}: {_brief(before)} -> {_brief(after)}")
    for what, left, right in (("input", old.inputs, new.inputs), ("file", old.external, new.external)):
        for name in sorted({*left, *right}):
            if name not in left:
                reasons.append(f"{what} {name} is new")
            elif name not in right:
                reasons.append(f"{what} {name} is gone")
            elif left[name] != right[name]:
                reasons.append(f"{what} {name} has changed")
    return reasons


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _seconds(artifact: Artifact | None) -> float | None:
    seconds = artifact.manifest.metadata.get("seconds") if artifact else None
    return float(seconds) if isinstance(seconds, int | float) else None
