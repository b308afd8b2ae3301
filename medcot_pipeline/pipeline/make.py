"""Making an asset: found where it is published, else made, checked and published.

Belongs here: the order of things around a stage's function.
Does not belong here: what a stage computes, where artifacts lie (artifacts/store.py), or Dagster.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.artifacts.leftovers import clear_work
from medcot_pipeline.artifacts.shown import Value
from medcot_pipeline.pipeline.alike import made_alike, recipes_differ, unlike
from medcot_pipeline.pipeline.check import run_checks
from medcot_pipeline.pipeline.place import Artifact
from medcot_pipeline.pipeline.run import Host, Run, place_of
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import INCUMBENT, Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import duration


def make_asset(workspace: Workspace, asset: str, host: Host, *, force: bool = False) -> tuple[Artifact, bool]:
    """Bring an asset up to date over the current artifacts of its inputs.

    Returns:
        The artifact, which is current now, and whether it was published before.

    Raises:
        MedcotError: an input is missing, a blocking check fails, or the stage says what is wrong.
    """
    stage = workspace.graph.stage(asset)
    inputs = made_alike(workspace, stage, workspace.inputs(asset), host, _make)
    made, reused = _make(workspace, stage, inputs, host, force=force)
    if stage.afterwards:
        stage.afterwards(workspace, made, reused)
    return made, reused


def _make(
    workspace: Workspace,
    stage: Stage,
    inputs: Mapping[str, Artifact],
    host: Host,
    *,
    force: bool = False,
    instead_of: str = "",
    select: bool = True,
) -> tuple[Artifact, bool]:
    """The artifact of a stage over some inputs, and whether it was published before; arguments as of the store."""
    started = time.monotonic()
    identity = workspace.identity(stage, inputs)
    folders = {name: artifact.folder for name, artifact in inputs.items()}
    assets = workspace.graph.assets
    place = place_of(stage.asset, assets)

    whose = "" if select else "of the incumbent, "

    def say(line: str) -> None:
        host.say(f"{place} {whose}{line}", identity.fingerprint)

    def fill(folder: Path) -> Mapping[str, Value]:
        say("started")
        if stage.compares:
            say(f"compares {' with '.join(f'{name} of {_made(inputs[name])}' for name in stage.compares)}")
        incumbent = _whole_incumbent(workspace, stage, inputs, identity)

        def over_incumbent(upstream: str) -> Path | None:
            return _over_incumbent(workspace, workspace.graph.stage(upstream), inputs[upstream], incumbent, host)

        run = Run(workspace, assets, identity, folder, inputs, incumbent, force, host, over_incumbent)
        stage.make(run)
        _refuse_changed_files(workspace, stage, identity)
        run.describe(seconds=round(time.monotonic() - started, 1))
        return run.metadata

    manifest, reused = workspace.store.publish(
        identity,
        fill,
        lambda folder: run_checks(stage.checks, folder, folders),
        force=force,
        instead_of=instead_of,
        select=select,
        holder=f"{stage.asset} of {host.name} in {workspace.data}",
        say=say,
    )
    say("reused: already built" if reused else f"published in {duration(time.monotonic() - started)}")
    clear_work(workspace.store, stage.asset, identity.fingerprint)
    return workspace.artifact(manifest), reused


def _made(artifact: Artifact) -> str:
    """When an artifact was made, in UTC to the minute."""
    return artifact.manifest.created[:16].replace("T", " ")


def _whole_incumbent(
    workspace: Workspace, stage: Stage, inputs: Mapping[str, Artifact], identity: Identity
) -> Artifact | None:
    """The incumbent that the identity names, with every file of it as published.

    Raises:
        MedcotError: it is damaged, or another one was promoted meanwhile.
    """
    incumbent = workspace.incumbent(stage, inputs, whole=True)
    if (incumbent and incumbent.content_hash) != identity.external.get(INCUMBENT):
        raise MedcotError("Another adapter was promoted since this run began.", "Run `medcot sync` again.")
    return incumbent


def _over_incumbent(
    workspace: Workspace, stage: Stage, mine: Artifact, incumbent: Artifact | None, host: Host
) -> Path | None:
    """What an upstream stage makes of the incumbent in the candidate's place: measured before, or measured now.

    Raises:
        MedcotError: settings, files or other inputs have changed since the candidate was measured, or it was measured
            with something that is not here.
    """
    if incumbent is None:
        return None
    inputs = workspace.inputs(stage.asset) | {incumbent.manifest.asset: incumbent}
    recipe = workspace.identity(stage, inputs)
    if difference := recipes_differ(recipe, mine.manifest.identity, but=incumbent.manifest.asset):
        raise MedcotError(
            f"{stage.asset}: the incumbent would be measured under other conditions than the candidate: {difference}.",
            "Run `medcot sync`, which measures the candidate again too.",
        )
    measured, reused = _make(workspace, stage, inputs, host, select=False)
    difference = unlike(measured, mine)
    if difference and reused:
        host.say(f"{stage.asset} of the incumbent is measured again: {difference}", measured.manifest.fingerprint)
        measured, _ = _make(workspace, stage, inputs, host, select=False, instead_of=measured.content_hash)
        difference = unlike(measured, mine)
    if difference:
        raise MedcotError(
            f"{stage.asset}: the incumbent's and the candidate's cannot be compared: {difference}.",
            f"Measure the candidate here too: `medcot sync --force {stage.asset}`.",
        )
    return measured.folder


def _refuse_changed_files(workspace: Workspace, stage: Stage, identity: Identity) -> None:
    """Publish nothing under a fingerprint that names other files than those that may have been read."""
    hashed = {name: digest for name, digest in identity.external.items() if name != INCUMBENT}
    now = workspace.external(stage)
    changed = sorted(name for name in {*hashed, *now} if hashed.get(name) != now.get(name))
    if changed:
        raise MedcotError(
            f"{stage.asset}: {', '.join(changed)} changed while it was made; nothing was published.",
            "Run `medcot sync` again once nothing writes to it any more.",
        )
