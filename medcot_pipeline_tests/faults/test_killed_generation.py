import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dagster_pipes import encode_param

from medcot_pipeline.evaluation.records import read_prompts, write_jsonl
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline_tests.conftest import ROOT, Home

SETTINGS = AnswerSettings(max_prompts=6, max_new_tokens=16, batch_size=2, seed=5)
BATCHES = 6


def start_worker(home: Home, folder: Path, work: Path) -> subprocess.Popen[str]:
    """The worker process of the asset model_answers, as Dagster starts it."""
    folder.mkdir()
    write_jsonl(folder / "prompts.jsonl", read_prompts(project_root() / SETTINGS.prompts, SETTINGS.max_prompts))
    arguments = {
        "out": str(folder),
        "hashes": str(folder / "hashes.json"),
        "base_model": str(home.current("base_model")),
        "adapter": str(home.current("qlora_adapter")),
        "settings": SETTINGS.model_dump(mode="json", exclude={"endpoint"}),
        "prompts": str(folder / "prompts.jsonl"),
        "work": str(work),
    }
    extras = {"task": "answers", "place": "(9/12) model_answers:", "arguments": arguments}
    unused = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "job_name")
    context: dict[str, Any] = {**dict.fromkeys(unused), "run_id": "1", "retry_number": 0, "extras": extras}
    context |= {"partition_key_range": None, "partition_time_window": None}
    pipes = {
        "DAGSTER_PIPES_CONTEXT": encode_param({"data": context}),
        "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(folder / "messages")}),
    }
    command = [sys.executable, "-m", "medcot_pipeline.worker"]
    return subprocess.Popen(command, cwd=ROOT, env=home.environment(**pipes), stderr=subprocess.PIPE, text=True)


def finish(worker: subprocess.Popen[str], folder: Path) -> tuple[str, str]:
    """The answers file and what the worker said."""
    _, errors = worker.communicate(timeout=240)
    assert worker.returncode == 0, errors
    said = (folder / "messages").read_text(encoding="utf-8")
    return (folder / "answers.jsonl").read_text(encoding="utf-8"), said


def test_a_worker_killed_between_batches_resumes_to_the_records_of_an_uninterrupted_run(
    chain: Home, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    killed = start_worker(chain, tmp_path / "killed", work)
    deadline = time.monotonic() + 240
    while not list(work.glob("base-*.json")):
        assert killed.poll() is None and time.monotonic() < deadline, "no batch was finished"
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    finished = {path.name: path.read_bytes() for path in work.glob("*-0*.json") if not path.name.startswith(".")}
    assert 0 < len(finished) < BATCHES, "the worker was killed too late"
    assert not (tmp_path / "killed" / "answers.jsonl").exists()

    resumed, said = finish(start_worker(chain, tmp_path / "resumed", work), tmp_path / "resumed")
    assert f"{len(finished)} of {BATCHES} batches were finished before" in said
    assert {name: (work / name).read_bytes() for name in finished} == finished, "a finished record is never rewritten"
    whole, _ = finish(start_worker(chain, tmp_path / "whole", tmp_path / "other work"), tmp_path / "whole")
    assert resumed == whole
    assert len(resumed.splitlines()) == 2 * SETTINGS.max_prompts
    assert len({json.loads(line)["reasoning"] for line in resumed.splitlines()}) > SETTINGS.max_prompts
