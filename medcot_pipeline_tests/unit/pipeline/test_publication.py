"""Between Dagster and the store: a real materialisation of one asset, and what Dagster keeps of it."""

import dataclasses
import json
from pathlib import Path

import dagster as dg
import pytest

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.artifacts.store import RejectedArtifact
from medcot_pipeline.corpus.sources.source import SAMPLE
from medcot_pipeline.orchestration.assets import asset_of
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.home import ROOT

RAW = GRAPH.stage("raw_medical_o1")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project with five source rows, and nothing published."""
    rows = json.loads((ROOT / SAMPLE).read_text(encoding="utf-8"))[:5]
    (tmp_path / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    settings = Settings(source={"kind": "file", "path": "rows.json"})
    return Workspace("own", settings, tmp_path, ArtifactStore(tmp_path / "data", tmp_path), GRAPH)


def resources(workspace: Workspace) -> dict[str, object]:
    return {"workspace": workspace, "pipes": dg.PipesSubprocessClient()}


def evaluations(instance: dg.DagsterInstance, asset: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check of an asset, as Dagster's page shows it."""
    found = {}
    for check in GRAPH.stage(asset).checks:
        key = dg.AssetCheckKey(dg.AssetKey(asset), check.name)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert isinstance(record.evaluation, dg.AssetCheckEvaluation), f"{check.name}: {record.status}"
        found[check.name] = record.evaluation
    return found


def test_a_refused_artifact_shows_every_check_with_its_sentence(
    workspace: Workspace,
) -> None:
    source = workspace.root / "rows.json"
    whole = source.read_text(encoding="utf-8")
    source.write_text(json.dumps([*json.loads(whole), {"Question": ""}], ensure_ascii=False), encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(RejectedArtifact) as raised:
            dg.materialize([asset_of(RAW)], instance=instance, resources=resources(workspace))
        (run,) = instance.get_runs()
        found = evaluations(instance, "raw_medical_o1")
        assert instance.get_latest_materialization_event(dg.AssetKey("raw_medical_o1")) is None
        assert workspace.store.current("raw_medical_o1") is None
        source.write_text(whole, encoding="utf-8")
        dg.materialize([asset_of(RAW)], instance=instance, resources=resources(workspace))
        assert all(each.passed for each in evaluations(instance, "raw_medical_o1").values()), "mended, it is gone"
    (kept,) = workspace.store.root.glob("rejected/raw_medical_o1/*")
    refused = found["few_rejects"]
    assert str(raised.value) == (
        f"raw_medical_o1: check few_rejects failed: {refused.description} Nothing was published. "
        f"The refused output is kept in {kept}."
    )
    assert (refused.passed, refused.severity, refused.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert refused.description is not None
    assert "1 of 6 rows cannot be used (16.7%, and MEDCOT_SOURCE__MAX_REJECT_RATE allows 5.0%)." in refused.description
    assert (found["rows_present"].passed, found["rows_present"].description) == (True, "5 rows.")
    assert found["unique_row_ids"].passed
    assert run.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("name", "said"), [("rows.json", "source file"), ("data/incoming/rows/more.json", "incoming more.json")]
)
def test_a_file_that_changes_while_it_may_be_read_is_not_published_under_the_hash_of_before(
    workspace: Workspace, name: str, said: str
) -> None:
    def while_somebody_writes(run: Run) -> None:
        RAW.make(run)
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("written meanwhile")

    stage = dataclasses.replace(RAW, make=while_somebody_writes)
    stages = [stage if each is RAW else each for each in GRAPH.stages]
    workspace = dataclasses.replace(workspace, graph=dataclasses.replace(GRAPH, stages=tuple(stages)))
    with pytest.raises(MedcotError) as raised:
        dg.materialize([asset_of(stage)], resources=resources(workspace))
    assert str(raised.value) == (
        f"raw_medical_o1: {said} changed while it was made; nothing was published. "
        "Run `medcot sync` again once nothing writes to it any more."
    )
    assert workspace.store.current("raw_medical_o1") is None
