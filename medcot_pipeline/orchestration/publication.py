"""Between Dagster and the store: publish an asset, run a model's child process, show metadata.

Belongs here: everything that all assets share.
Does not: what any asset computes.
"""

import base64
import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from medcot_pipeline.artifacts import CheckOutcome, FileLink, Identity, Markdown, Picture, Publication, Table
from medcot_pipeline.artifacts.leftovers import clear_work
from medcot_pipeline.artifacts.shown import from_json
from medcot_pipeline.artifacts.store import RejectedArtifact
from medcot_pipeline.checks import CHECKS, run_checks
from medcot_pipeline.compute.gpu_lock import lock_paths
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.stages import INCUMBENT, STAGES, Stage, Workspace, stage_of
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say, duration

GPU_POOL = "gpu"
GPU_TAGS = {
    "medcot/gpu": "1",
    "dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
}
FORCE_TAG = "medcot/force"


def asset_options(asset: str) -> dict[str, Any]:
    """Arguments of `@dg.asset` that follow from the stage: key, group, dependencies, checks, pool and GPU tags."""
    stage = stage_of(asset)
    options: dict[str, Any] = {
        "name": asset,
        "group_name": stage.group,
        "deps": list(stage.inputs),
        "check_specs": [
            dg.AssetCheckSpec(check.name, asset=asset, blocking=check.blocking, description=check.question)
            for check in CHECKS[asset]
        ],
    }
    if stage.loads_model:
        options |= {"pool": GPU_POOL, "op_tags": GPU_TAGS}
    return options


@dataclasses.dataclass
class AssetRun:
    """One asset being materialised: the publication, and what the asset function needs beside it."""

    context: dg.AssetExecutionContext
    workspace: Workspace
    stage: Stage
    publication: Publication
    identity: Identity
    holder: str
    """How others call this process while they wait for it."""
    say: Say
    """Shows a line on the Dagster page and in the terminal."""

    @property
    def fingerprint(self) -> str:
        """The artifact's fingerprint."""
        return self.identity.fingerprint

    @property
    def path(self) -> Path:
        """Folder to write into."""
        return self.publication.path

    @property
    def reused(self) -> bool:
        """Whether the artifact was published before, so that there is nothing to do."""
        return self.publication.reused

    @property
    def work(self) -> Path:
        """A folder for this fingerprint alone that outlives a killed run, for checkpoints and finished batches."""
        return self.workspace.store.work(self.stage.asset, self.fingerprint)

    def input(self, asset: str) -> Path:
        """Folder of an upstream artifact."""
        return self.publication.input(asset)

    def progress(self, what: str) -> Progress:
        """Progress lines for a piece of work."""
        return Progress(what, self.say)

    def describe(self, **values: Any) -> None:
        """Add what a person should see beside the artifact."""
        self.publication.describe(**values)

    def picture(self, name: str) -> Path:
        """Where a chart of that name goes; `describe(name=Picture(...))` is added for it."""
        path = self.publication.aside(f"{name}.png")
        self.describe(**{name: Picture(path.relative_to(self.path).as_posix())})
        return path

    def run_worker(self, pipes: dg.PipesSubprocessClient, task: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a task in a child process and return what it reports.

        Raises:
            MedcotError: the child says what is wrong, ends without a result, or is killed.
        """
        store = self.workspace.store
        extras = {
            "task": task,
            "place": place(self.stage),
            "lock": {"paths": [str(path) for path in lock_paths(store.root)], "holder": self.holder},
            "parent": os.getpid(),
            "arguments": {"out": str(self.path), "hashes": str(store.hashes.memory), **arguments},
        }
        # -P: no module out of the working folder. The last word is for whoever waits for the GPU, and for `ps`.
        command = [sys.executable, "-P", "-m", "medcot_pipeline.compute.child", self.holder]
        messages: list[Any] = []
        try:
            invocation = pipes.run(
                command=command,
                context=self.context.op_execution_context,
                extras=extras,
                env=worker_environment(store.root / "cache"),
            )
            messages = list(invocation.get_custom_messages())
        except DagsterPipesExecutionError as error:
            raise MedcotError(
                f"{self.stage.asset}: the child process was killed or crashed ({error}).",
                "See the run's log, then run `medcot sync` again: finished pieces are kept.",
            ) from error
        outcome = {key: value for message in messages for key, value in message.items()}
        if "problem" in outcome:
            raise MedcotError(outcome["problem"])
        if "result" not in outcome:
            raise MedcotError(f"{self.stage.asset}: the child process ended without a result.", "See the run's log.")
        return dict(outcome["result"])

    def result(self) -> dg.MaterializeResult:
        """The materialisation, with metadata and check results as the manifest has them."""
        manifest, folder = self.publication.manifest, self.publication.path
        metadata = {name: to_dagster(from_json(value), folder) for name, value in manifest.metadata.items()}
        return dg.MaterializeResult(
            metadata={
                **metadata,
                "reused": self.reused,
                "artifact": dg.MetadataValue.path(str(folder)),
                "fingerprint": manifest.fingerprint,
            },
            data_version=dg.DataVersion(manifest.content_hash),
            check_results=[_check_result(check) for check in manifest.checks],
        )


def worker_environment(cache: Path) -> dict[str, str]:
    """Variables that a child process needs before it loads anything.

    PyTorch and bitsandbytes bring an OpenMP each, whose threads wait for one another by spinning: beside any other work
    on few cores that made training and generation five to seven times slower. And PyTorch keeps the code that it
    compiles in a folder of the shared temporary one whose name anybody can guess, and runs what it finds there.

    Args:
        cache: folder for what can be made again.
    """
    defaults = {"OMP_WAIT_POLICY": "PASSIVE", "TORCHINDUCTOR_CACHE_DIR": str(cache / "torchinductor")}
    return {name: os.environ.get(name) or value for name, value in defaults.items()}


@contextlib.contextmanager
def publish(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[AssetRun]:
    """Publish the running asset: find its inputs, reuse what is there, check and publish what is new.

    Raises:
        MedcotError: an input is missing, or a blocking check fails.
    """
    stage, store = stage_of(context.asset_key.to_user_string()), workspace.store
    for line in Promoted(store.root).catch_up(store):
        context.log.info(line)
    manifests = workspace.inputs(stage.asset)
    identity = workspace.identity(stage.asset, manifests)
    inputs = {name: store.folder(name, manifest.fingerprint) for name, manifest in manifests.items()}

    holder = f"{stage.asset} of run {context.run.run_id[:8]} in {store.root}"

    def say(line: str) -> None:
        context.log.info(f"{place(stage)} {line}", extra={"fingerprint": identity.fingerprint})

    started = time.monotonic()
    force = context.run.tags.get(FORCE_TAG, "") == stage.asset
    checks = run_checks(stage.asset, inputs)
    with (
        _refusals_shown(context),
        store.publish(identity, inputs, checks, force=force, holder=holder, say=say) as publication,
    ):
        run = AssetRun(context, workspace, stage, publication, identity, holder, say)
        say("as published before" if run.reused else "started")
        yield run
        if not run.reused:
            _refuse_changed_files(run)
            run.describe(seconds=round(time.monotonic() - started, 1))
    if not run.reused:
        say(f"published in {duration(time.monotonic() - started)}")
    clear_work(store, stage.asset, identity.fingerprint)


@contextlib.contextmanager
def _refusals_shown(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Record all checks of a refused artifact: its step fails, and gives Dagster no result to take them from."""
    try:
        yield
    except RejectedArtifact as refusal:
        for check in refusal.checks:
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


def _refuse_changed_files(run: AssetRun) -> None:
    """Publish nothing under a fingerprint that names other files than those that may have been read."""
    workspace, hashed = run.workspace, {**run.identity.external}
    hashed.pop(INCUMBENT, None)
    now = run.stage.external(workspace.settings, workspace.root, workspace.store.root, workspace.store.hashes)
    changed = sorted(name for name in {*hashed, *now} if hashed.get(name) != now.get(name))
    if changed:
        raise MedcotError(
            f"{run.stage.asset}: {', '.join(changed)} changed while it was made; nothing was published.",
            "Run `medcot sync` again once nobody writes there.",
        )


def place(stage: Stage) -> str:
    """Where a stage stands in the graph: `(7/12) qlora_adapter:`."""
    return f"({STAGES.index(stage) + 1}/{len(STAGES)}) {stage.asset}:"


def to_dagster(value: Any, folder: Path) -> Any:
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
