"""What becomes of an asset whose child process fails in one way or another."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.definitions import build_defs
from medcot_pipeline.orchestration.instance.passes import find_problem
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.home import ROOT, Home

OPEN = "import os, signal, sys; from dagster_pipes import open_dagster_pipes\n"
RESULT = "with open_dagster_pipes() as pipes: pipes.report_custom_message({'result': {'name': 'a model'}})\n"


class Child(dg.PipesSubprocessClient):
    """Runs a script in the place of the child process, through the real protocol."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self._script = script

    def run(self, *, context: Any, extras: Any = None, **options: Any) -> Any:
        options["command"] = [sys.executable, "-c", OPEN + self._script]
        return super().run(context=context, extras=extras, **options)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("", "base_model: the child process ended without a result."),
        ("with open_dagster_pipes() as pipes: pass", "base_model: the child process ended without a result."),
        (RESULT + "sys.exit(3)", "base_model: the child process was killed or crashed"),
        (RESULT + "os.kill(os.getpid(), signal.SIGKILL)", "base_model: the child process was killed or crashed"),
        (
            "with open_dagster_pipes() as pipes: pipes.report_custom_message({'problem': 'The GPU is gone.'})",
            "The GPU is gone.",
        ),
    ],
    ids=["silent", "opened and silent", "failed after its result", "killed after its result", "names the problem"],
)
def test_a_child_that_fails_or_says_nothing_publishes_nothing(tmp_path: Path, script: str, problem: str) -> None:
    store = ArtifactStore(tmp_path, ROOT)
    workspace = Workspace("tiny", load_settings("tiny"), ROOT, store, GRAPH)
    job = build_defs(workspace=workspace, pipes=Child(script)).resolve_job_def("medcot")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(Exception) as raised:
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("base_model")])
    found = find_problem(raised.value)
    assert isinstance(found, MedcotError)
    assert str(found).startswith(problem)
    assert store.current("base_model") is None
    assert not list((tmp_path / "artifacts" / "base_model").glob("*"))


def test_a_folder_with_modules_of_the_same_names_shadows_none_in_the_child(fresh_home: Home, tmp_path: Path) -> None:
    """Staged after python/cpython#74007: an import runs a file that lies in the working folder."""
    for name in ("random", "json", "tokenizers"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working folder was run')\n")
    done = subprocess.run(
        ["medcot", "sync", "--only", "base_model"],
        cwd=tmp_path,
        env=fresh_home.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_question_of_a_library_in_the_child_is_not_answered_from_standard_input() -> None:
    script = (
        "from medcot_pipeline.compute import process as it; it.answer_nobody(); print(input('Run the code? [y/N]'))"
    )
    done = subprocess.run([sys.executable, "-c", script], input="y\n", capture_output=True, text=True, timeout=120)
    assert done.stderr.strip().endswith("EOFError: EOF when reading a line")
