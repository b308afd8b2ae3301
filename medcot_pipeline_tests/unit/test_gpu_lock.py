import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medcot_pipeline.gpu_lock import gpu_is_here, gpu_lock, lock_path

HOLD = """
import sys, time
from pathlib import Path
from medcot_pipeline.gpu_lock import gpu_lock

with gpu_lock(Path(sys.argv[1]), "qlora_adapter of run 1234 in /data", print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    """A process that holds the lock `lock`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_says_for_whom_and_gets_it_when_the_first_is_killed(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(holder.pid, signal.SIGKILL)

    with gpu_lock(tmp_path / "lock", "another", say):
        holder.wait(timeout=10)
    assert said == [
        f"waiting for the GPU, which is held by qlora_adapter of run 1234 in /data, process {holder.pid}",
    ]


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    started = time.monotonic()
    with gpu_lock(tmp_path / "deep" / "lock", "me", pytest.fail):
        assert "me, process" in (tmp_path / "deep" / "lock").read_text(encoding="utf-8")
    assert time.monotonic() - started < 5
    assert (tmp_path / "deep" / "lock").read_text(encoding="utf-8") == ""


def test_without_a_gpu_the_lock_is_the_data_folders(tmp_path: Path) -> None:
    if gpu_is_here():
        pytest.skip("there is a GPU here")
    assert lock_path(tmp_path) == tmp_path / "cache" / "gpu.lock"
