"""What Dagster's page says of every asset, and which numbers it plots."""

import itertools

import dagster as dg
import pytest

from medcot_pipeline.artifacts import Markdown
from medcot_pipeline.orchestration.assets import OWNER, asset_of, shown
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.table import STAGES
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.home import ROOT
from medcot_pipeline_tests.support.planning import identity_of

workspace = planning.workspace
EVERY_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)


def spec(stage: Stage) -> dg.AssetSpec:
    (found,) = asset_of(stage).specs
    return found


@EVERY_STAGE
def test_every_asset_has_an_owner_and_one_to_three_kinds(stage: Stage) -> None:
    assert list(spec(stage).owners) == [OWNER]
    assert 1 <= len(spec(stage).kinds) <= 3


@EVERY_STAGE
def test_every_asset_is_described_in_a_sentence_of_its_own(stage: Stage) -> None:
    description = spec(stage).description or ""
    assert len(description.split()) >= 8
    assert description.endswith((".", '".'))
    assert not description.lower().startswith(("the same", "as above"))


@EVERY_STAGE
def test_every_asset_leads_to_its_docs_and_its_code(stage: Stage) -> None:
    docs, code = (spec(stage).metadata[name].value for name in ("docs", "code"))
    assert (ROOT / docs).is_file()
    path, _, line = code.rpartition(":")
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert lines[int(line) - 1] == f"def {stage.make.__name__}(run: Run) -> None:"


def test_no_asset_leads_back_to_a_group_further_left() -> None:
    groups = list(dict.fromkeys(stage.group for stage in STAGES))
    assert groups == ["corpus", "sft", "training", "evaluation", "release"]
    group_of = {stage.asset: stage.group for stage in STAGES}
    edges = itertools.chain.from_iterable(((group_of[name], stage.group) for name in stage.inputs) for stage in STAGES)
    assert [edge for edge in edges if groups.index(edge[0]) > groups.index(edge[1])] == []


def test_numbers_of_an_artifact_are_numbers_on_the_page(workspace: Workspace) -> None:
    manifest = publish(
        workspace.store, identity_of(workspace, "base_model"), {"a": "b"}, rows=3, ratio=0.5, text=Markdown("words")
    )
    event = dg.AssetMaterialization("base_model", metadata=shown(workspace.artifact(manifest)))
    assert event.metadata["rows"] == dg.MetadataValue.int(3)
    assert event.metadata["ratio"] == dg.MetadataValue.float(0.5)
