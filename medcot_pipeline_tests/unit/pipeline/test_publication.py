"""Between Dagster and the store: a real materialisation of one asset, and what Dagster keeps of it."""

import json
from pathlib import Path

import dagster as dg
import pytest
from medcot_pipeline.assets.corpus import raw_medical_o1
from medcot_pipeline.checks import CHECKS
from medcot_pipeline.orchestration.publication import asset_options, publish
from medcot_pipeline.stages import Workspace

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.artifacts.store import RejectedArtifact
from medcot_pipeline.corpus.sources.source import SAMPLE, read_source
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline_tests.support.home import ROOT


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project with five source rows, and nothing published."""
    rows = json.loads((ROOT / SAMPLE).read_text(encoding="utf-8"))[:5]
    (tmp_path / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    settings = Settings(source={"kind": "file", "path": "rows.json"})
    return Workspace("own", settings, tmp_path, ArtifactStore(tmp_path / "data", tmp_path))


def write_rows(folder: Path, workspace: Workspace) -> None:
    """What the asset `raw_medical_o1` consists of, as its checks want it."""
    (part,) = read_source(workspace.root / "rows.json", [], workspace.settings.source)
    part.rows.write_parquet(folder / "rows.parquet")
    (folder / "rejects.jsonl").write_text("")
    write_json(folder / "source.json", {"files": [], "rows_read": part.rows.height, "max_reject_rate": 0.05})


def evaluations(instance: dg.DagsterInstance, asset: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check of an asset, as Dagster's page shows it."""
    found = {}
    for check in CHECKS[asset]:
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
            dg.materialize([raw_medical_o1], instance=instance, resources={"workspace": workspace})
        (run,) = instance.get_runs()
        found = evaluations(instance, "raw_medical_o1")
        assert instance.get_latest_materialization_event(dg.AssetKey("raw_medical_o1")) is None
        assert workspace.store.current("raw_medical_o1") is None
        source.write_text(whole, encoding="utf-8")
        dg.materialize([raw_medical_o1], instance=instance, resources={"workspace": workspace})
        assert all(each.passed for each in evaluations(instance, "raw_medical_o1").values()), "mended, it is gone"
    (kept,) = workspace.store.root.glob("rejected/raw_medical_o1/*")
    refused = found["few_rejects"]
    assert str(raised.value) == (
        f"raw_medical_o1: check few_rejects failed: {refused.description} Nothing was published. "
        f"What was made is kept in {kept}."
    )
    assert (refused.passed, refused.severity, refused.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert refused.description is not None
    assert "1 of 6 rows cannot be used (16.7%, at most 5.0% by MEDCOT_SOURCE__MAX_REJECT_RATE)." in refused.description
    assert (found["rows_present"].passed, found["rows_present"].description) == (True, "5 rows.")
    assert found["unique_row_ids"].passed
    assert run.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("name", "said"), [("rows.json", "source file"), ("data/incoming/rows/more.json", "incoming more.json")]
)
def test_a_file_that_changes_while_it_may_be_read_is_not_published_under_the_hash_of_before(
    workspace: Workspace, name: str, said: str
) -> None:
    @dg.asset(**asset_options("raw_medical_o1"))
    def rows_asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with publish(context, workspace) as run:
            write_rows(run.path, workspace)
            path = workspace.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("written meanwhile")
        return run.result()

    with pytest.raises(MedcotError) as raised:
        dg.materialize([rows_asset])
    assert str(raised.value) == (
        f"raw_medical_o1: {said} changed while it was made; nothing was published. "
        "Run `medcot sync` again once nobody writes there."
    )
    assert workspace.store.current("raw_medical_o1") is None
