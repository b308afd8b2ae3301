"""Between Dagster and the store: a real materialisation of one asset, and what Dagster keeps of it."""

import json
from pathlib import Path

import dagster as dg
import pytest

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.assets.publication import asset_options, publish
from medcot_pipeline.corpus.sources import SAMPLE, read_source
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.json_files import write_json
from medcot_pipeline.settings import Settings
from medcot_pipeline.stages import Workspace
from medcot_pipeline_tests.conftest import ROOT


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


@pytest.mark.parametrize(
    ("name", "said"), [("rows.json", "source file"), ("data/incoming/rows/more.json", "incoming more.json")]
)
def test_a_file_that_changes_while_it_may_be_read_is_not_published_under_the_hash_of_before(
    workspace: Workspace, name: str, said: str
) -> None:
    @dg.asset(**asset_options("raw_medical_o1"))
    def raw_medical_o1(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with publish(context, workspace) as run:
            write_rows(run.path, workspace)
            path = workspace.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("written meanwhile")
        return run.result()

    with pytest.raises(MedcotError) as raised:
        dg.materialize([raw_medical_o1])
    assert str(raised.value) == (
        f"raw_medical_o1: {said} changed while it was made; nothing was published. "
        "Run `medcot sync` again once nobody writes there."
    )
    assert workspace.store.current("raw_medical_o1") is None
