"""Publishing, promoting, going back, forcing and pruning, killed before every single change that they make on disk."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medcot_pipeline_tests.faults.scenes import SCENES
from medcot_pipeline_tests.support.home import ROOT

MEMORY = Path("/dev/shm")
"""A kill loses nothing that was written, so a sweep needs no disk; where there is one in memory it is faster."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def changes(way: str, scene: str, folder: Path) -> list[str]:
    """Every change that the operation met a signal at, where nothing was wrong after any."""
    command = [sys.executable, "-m", "medcot_pipeline_tests.faults.scenes", way, scene, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == []
    print(f"{scene}: {len(report['changes'])} changes")
    return list(report["changes"])


@pytest.mark.parametrize("scene", SCENES)
def test_killed_before_any_change_it_is_made_whole_by_the_next_pass(folder: Path, scene: str) -> None:
    assert len(changes("killed", scene, folder)) >= SCENES[scene].changes


@pytest.mark.parametrize("scene", ["promote", "roll back"])
def test_pruning_at_any_moment_of_a_promotion_or_a_rollback_takes_nothing_of_it(folder: Path, scene: str) -> None:
    met = changes("pruned", scene, folder)
    assert {each.rpartition(", ")[2] for each in met} == {"pruning done", "pruning refused"}
