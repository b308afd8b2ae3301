"""Adding a stage as docs/adding-a-stage.md says: its steps are applied to a copy of the package, which then runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medcot_pipeline_tests.support.home import ROOT

PAGE = ROOT / "docs" / "adding-a-stage.md"
BLOCK = re.compile(r"```(python|diff)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"`(medcot_pipeline/[\w/]+\.py)`")
LOOK = """
import json, sys
import dagster as dg
from medcot_pipeline.definitions import build_defs

graph = build_defs().resolve_asset_graph()
node = graph.get(dg.AssetKey("question_lengths"))
with dg.DagsterInstance.get() as instance:
    event = instance.get_latest_materialization_event(node.key)
    metadata = event.asset_materialization.metadata if event else {}
    checks = [
        instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0].evaluation.description
        for key in graph.asset_check_keys if key.asset_key == node.key
    ]
print(json.dumps({
    "parents": [key.to_user_string() for key in node.parent_keys],
    "description": node.description,
    "checks": checks,
    "lengths": [record.data for record in metadata["lengths"].records],
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the stage of the page in it."""
    root = tmp_path_factory.mktemp("project")
    for name in ("medcot_pipeline", "data/sample", "data/prompts", "data/general"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    page = PAGE.read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        kind, text = block.groups()
        if kind == "python":
            path = root / FILE.findall(page[: block.start()])[-1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            applied = subprocess.run(["git", "apply", "-"], cwd=root, input=text, capture_output=True, text=True)
            assert applied.returncode == 0, f"{PAGE.name}: {applied.stderr}"
    return root


def run(project: Path, *command: str, **variables: str) -> str:
    """Run a command with the copy's package; what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDCOT_", "DAGSTER_"))}
    own = {"PYTHONPATH": str(project), "DAGSTER_HOME": str(project / "home"), "MEDCOT_PROFILE": "tiny"}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env={**kept, **own, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def medcot(project: Path, *arguments: str, **variables: str) -> str:
    """Run `medcot` with the copy's package; what it printed."""
    return run(project, "-m", "medcot_pipeline.cli", *arguments, **variables)


def test_a_stage_added_in_one_room_is_planned_made_checked_and_shown(project: Path) -> None:
    upstream = "raw_medical_o1,normalized_corpus,deduplicated_corpus,corpus_splits"
    assert re.search(r"question_lengths +missing +waits for corpus_splits", medcot(project, "plan"))
    medcot(project, "sync", "--only", upstream)
    assert "question_lengths: published" in medcot(project, "sync", "--only", "question_lengths")
    assert re.search(r"question_lengths +fresh", medcot(project, "plan"))
    shown = json.loads(run(project, "-c", LOOK).splitlines()[-1])
    assert shown["parents"] == ["corpus_splits"]
    assert shown["description"].startswith("Length of the questions of each split")
    assert shown["checks"] == ["Measured: test, train, validation."]
    assert {each["split"] for each in shown["lengths"]} == {"test", "train", "validation"}
    changed = medcot(project, "plan", MEDCOT_LENGTHS__QUANTILE="0.9")
    assert re.search(r"question_lengths +stale +setting lengths.quantile: 0.5 -> 0.9", changed)
    assert len(re.findall(" stale ", changed)) == 1
