"""A workspace over small files, in which assets are published without being made, and what the plan says of it.

Belongs here: the workspace, other settings, publishing, the plan by asset.
Does not belong here: what a plan should say.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity
from medcot_pipeline.pipeline.plan import PlanLine, make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.artifacts import publish

ALL = list(GRAPH.assets)
CORPUS = ALL[:4]
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "merges.txt", "chat_template.jinja")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project folder with a source file, prompts, a model folder and benchmarks, and an empty store."""
    for name in ("rows.json", "prompts.jsonl", "exams/exam.jsonl", *(f"model/{name}" for name in MODEL_FILES)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"what stands in {name}")
    settings = Settings(
        source={"kind": "file", "path": "rows.json"},
        splits={"benchmark_dir": "exams"},
        base_model={"kind": "path", "path": "model"},
        answers={"prompts": "prompts.jsonl"},
    )
    return Workspace("own", settings, tmp_path, ArtifactStore(tmp_path / "data", tmp_path), GRAPH)


def change(workspace: Workspace, section: str, **values: Any) -> Workspace:
    """The same workspace with other settings."""
    changed = getattr(workspace.settings, section).model_copy(update=values)
    return dataclasses.replace(workspace, settings=workspace.settings.model_copy(update={section: changed}))


def identity_of(workspace: Workspace, asset: str) -> Identity:
    """The asset's identity over the current artifacts of its inputs."""
    return workspace.identity(workspace.graph.stage(asset), workspace.inputs(asset))


def make(workspace: Workspace, *assets: str, text: str = "rows", identity: Identity | None = None) -> None:
    """Publish assets over the current artifacts of their inputs; what is in them does not matter."""
    for asset in assets:
        publish(workspace.store, identity or identity_of(workspace, asset), {"rows.txt": text}, seconds=1.5)


def plan(workspace: Workspace) -> dict[str, PlanLine]:
    lines = make_plan(workspace)
    assert [line.asset for line in lines] == ALL
    return {line.asset: line for line in lines}


def status(workspace: Workspace) -> dict[str, list[str]]:
    """Assets by status, those that are fresh left out."""
    lines = make_plan(workspace)
    names = ("missing", "stale", "waiting")
    found = {name: [line.asset for line in lines if line.status == name] for name in names}
    return {name: assets for name, assets in found.items() if assets}
