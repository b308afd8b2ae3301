import json
import os
import signal
import subprocess
import time
from pathlib import Path

from medcot_pipeline.evaluation.answers import job
from medcot_pipeline.records.prompts import read_prompts
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.child_process import finish, said, start_child
from medcot_pipeline_tests.support.home import Home

SETTINGS = AnswerSettings(max_prompts=12, max_new_tokens=16, batch_size=2, seed=5)
BATCHES = 6


def generate(home: Home, folder: Path, work: Path) -> "subprocess.Popen[str]":
    """The child process of the asset tuned_answers."""
    folder.mkdir()
    write_jsonl(folder / job.PROMPTS, read_prompts(project_root() / SETTINGS.prompts, SETTINGS.max_prompts))
    arguments = job.GenerateAnswers(
        settings=SETTINGS,
        base_model=home.current("base_model"),
        adapter=home.current("qlora_adapter"),
        hashes=folder / "hashes" / "hashes.sqlite",
        out=folder,
        work=work,
    )
    return start_child(home, folder, job.generate, arguments)


def answers(child: "subprocess.Popen[str]", folder: Path) -> str:
    """The answers file, once the child is done."""
    finish(child, folder)
    return (folder / job.ANSWERS).read_text(encoding="utf-8")


def test_a_child_killed_between_batches_resumes_to_the_records_of_an_uninterrupted_run(
    chain_copy: Home, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    killed = generate(chain_copy, tmp_path / "killed", work)
    deadline = time.monotonic() + 240
    while not list(work.glob("tuned-*.json")):
        assert killed.poll() is None and time.monotonic() < deadline, "no batch was finished"
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    finished = {path.name: path.read_bytes() for path in work.glob("*-0*.json") if not path.name.startswith(".")}
    assert 0 < len(finished) < BATCHES, "the child was killed too late"
    assert not (tmp_path / "killed" / job.ANSWERS).exists()

    resumed = answers(generate(chain_copy, tmp_path / "resumed", work), tmp_path / "resumed")
    assert f"{len(finished)} of {BATCHES} batches were finished before" in said(tmp_path / "resumed")
    assert {name: (work / name).read_bytes() for name in finished} == finished, "a finished record is never rewritten"
    whole = answers(generate(chain_copy, tmp_path / "whole", tmp_path / "other work"), tmp_path / "whole")
    assert resumed == whole
    assert len(resumed.splitlines()) == SETTINGS.max_prompts
    assert len({json.loads(line)["reasoning"] for line in resumed.splitlines()}) > SETTINGS.max_prompts // 2
