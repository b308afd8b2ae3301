"""Every stage as a Dagster asset.

Belongs here: what Dagster needs to know of a stage, and what it keeps of an artifact.
Does not belong here: what a stage does (the rooms), or the order of things around it (pipeline/make.py).
"""

import base64
import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from medcot_pipeline.artifacts import CheckOutcome, FileLink, Markdown, Picture, Table, canonical_json, sha256_text
from medcot_pipeline.artifacts.shown import from_json
from medcot_pipeline.artifacts.store import RejectedArtifact
from medcot_pipeline.compute.launch import Launch, result_of
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process
from medcot_pipeline.pipeline.make import make_asset
from medcot_pipeline.pipeline.place import Artifact
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.settings import recorded
from medcot_pipeline.support.errors import MedcotError

GPU_TAGS = {
    "medcot/gpu": "1",
    "dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
}
"""What a cluster's launcher reads of an op that loads a model."""
OWNER = "team:medcot"
"""Whom the page names for every asset."""
DOCS = "docs/architecture.md"
"""The page about assets, from the project folder."""
FORCE_TAG = "medcot/force"
DATA_VERSION_TAG = "dagster/data_version"
"""Under which Dagster keeps a materialisation's content hash."""


def asset_of(stage: Stage) -> dg.AssetsDefinition:
    """The Dagster asset of a stage: its name, group, inputs, checks and GPU tags, and a function that makes it."""

    @dg.asset(
        name=stage.asset,
        group_name=stage.group,
        description=inspect.getdoc(stage.make),
        owners=[OWNER],
        kinds=set(stage.kinds),
        metadata=links(stage),
        deps=list(stage.inputs),
        check_specs=[
            dg.AssetCheckSpec(check.name, asset=stage.asset, blocking=check.blocking, description=check.question)
            for check in stage.checks
        ],
        op_tags=GPU_TAGS if stage.loads_model else {},
    )
    def materialise(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        pipes: dg.ResourceParam[dg.PipesSubprocessClient],
    ) -> dg.MaterializeResult:
        _note_process(context)
        for line in Promoted(workspace.data).catch_up(workspace.store):
            context.log.info(line)
        force = context.run.tags.get(FORCE_TAG, "") == stage.asset
        with _refusals_shown(context, stage.asset):
            made, reused = make_asset(workspace, stage.asset, DagsterHost(context, pipes), force=force)
        return dg.MaterializeResult(
            metadata={**shown(made), "reused": reused},
            data_version=dg.DataVersion(made.content_hash),
            check_results=[_check_result(check) for check in made.manifest.checks],
        )

    return materialise


def links(stage: Stage) -> dict[str, Any]:
    """What leads from the page to the docs and to the function that makes the asset, from the project folder."""
    code = f"{stage.make.__module__.replace('.', '/')}.py:{inspect.getsourcelines(stage.make)[1]}"
    return {"docs": dg.MetadataValue.path(DOCS), "code": dg.MetadataValue.path(code)}


def code_version(asset: str, workspace: Workspace) -> str:
    """The stage's version constant and a hash of the settings it reads, so that Dagster sees a changed setting."""
    stage = workspace.graph.stage(asset)
    settings = sha256_text(canonical_json(recorded(workspace.settings, *stage.settings)))
    return f"{stage.code_version}+{settings[:12]}"


@dataclasses.dataclass(frozen=True)
class DagsterHost:
    """The step of a run as what makes an asset (pipeline/run.py, `Host`)."""

    context: dg.AssetExecutionContext
    pipes: dg.PipesSubprocessClient

    @property
    def name(self) -> str:
        """How others call this process while they wait for it."""
        return f"run {self.context.run.run_id[:8]}"

    def say(self, line: str, fingerprint: str) -> None:
        """Show a line on the page and in the terminal."""
        self.context.log.info(line, extra={"fingerprint": fingerprint})

    def launch(self, asset: str, launch: Launch) -> dict[str, Any]:
        """Run a job in a child process over Dagster Pipes, and return its result."""
        try:
            ended = self.pipes.run(
                command=list(launch.command),
                context=self.context.op_execution_context,
                extras=dict(launch.told),
                env=dict(launch.environment),
            )
        except DagsterPipesExecutionError as error:
            raise MedcotError(
                f"{asset}: the child process was killed or crashed ({error}).",
                "See the run's log, then run `medcot sync` again: finished pieces are kept.",
            ) from error
        return result_of(asset, list(ended.get_custom_messages()))

    def made_again(self, artifact: Artifact) -> None:
        """Let Dagster know of an artifact of another asset than the one that this step makes.

        The step's own asset is recorded over the one before: Dagster asked for the versions of its inputs when the step
        began. The next pass finds both published, and lets it know.
        """
        self.context.log_event(
            dg.AssetMaterialization(
                asset_key=dg.AssetKey(artifact.manifest.asset),
                metadata={**shown(artifact), "reused": False},
                tags={DATA_VERSION_TAG: artifact.content_hash},
            )
        )


def shown(artifact: Artifact) -> dict[str, Any]:
    """What the page shows of an artifact, as its manifest has it."""
    manifest, folder = artifact.manifest, artifact.folder
    return {
        **{name: _to_dagster(from_json(value), folder) for name, value in manifest.metadata.items()},
        "artifact": dg.MetadataValue.path(str(folder)),
        "fingerprint": manifest.fingerprint,
    }


def _note_process(context: dg.AssetExecutionContext) -> None:
    """Write into the run's tags which process runs it: once it is killed, nothing else says so."""
    own = Process.own().to_tag()
    if context.run.tags.get(PROCESS_TAG) != own:
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: own})


@contextlib.contextmanager
def _refusals_shown(context: dg.AssetExecutionContext, asset: str) -> Iterator[None]:
    """Record all checks of a refused artifact: its step fails, and gives Dagster no result to take them from."""
    try:
        yield
    except RejectedArtifact as refusal:
        for check in refusal.checks if refusal.asset == asset else ():
            evaluation = dg.AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=check.name,
                passed=check.passed,
                metadata={},
                severity=_severity(check),
                description=check.description,
                blocking=check.blocking,
            )
            context.log_event(evaluation)
        raise


def _to_dagster(value: Any, folder: Path) -> Any:
    """A described value as Dagster shows it; pictures are embedded, since the page cannot read local files."""
    match value:
        case Table(rows):
            return _table(rows)
        case Picture(path):
            encoded = base64.b64encode((folder / path).read_bytes()).decode("ascii")
            return dg.MetadataValue.md(f"![{Path(path).stem}](data:image/png;base64,{encoded})")
        case Markdown(text):
            return dg.MetadataValue.md(text)
        case FileLink(path):
            return dg.MetadataValue.path(str(folder / path))
        case _:
            return value


def _table(rows: Any) -> Any:
    records = [dg.TableRecord({name: "" if value is None else value for name, value in row.items()}) for row in rows]
    if not records:
        return dg.MetadataValue.text("no rows")
    return dg.MetadataValue.table(records)


def _check_result(check: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check.name, passed=check.passed, severity=_severity(check), description=check.description
    )


def _severity(check: CheckOutcome) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
