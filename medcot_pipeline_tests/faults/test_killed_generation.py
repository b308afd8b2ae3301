import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.answers import job
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.records.prompts import read_prompts
from medcot_pipeline.settings import AnswerSettings, LocalEngineSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.journals import read_lines
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.child_process import finish, said, start_child
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.tiny_arms import tiny_arms

SETTINGS = AnswerSettings(max_prompts=24, max_new_tokens=48, seed=5)
ENGINE = LocalEngineSettings(rows=3)
MOMENTS = 10
DRAWN = random.Random(15)


class Arms:
    """A base and an adapter, and the tuned arm's answers of a run that nobody killed."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder = Home(folder / "home"), folder
        self.base, self.adapter = tiny_arms(folder)
        child = self.generate(folder / "whole", folder / "whole work")
        self.whole = answers(child, folder / "whole")

    def generate(self, folder: Path, work: Path) -> "subprocess.Popen[str]":
        """The child process of the asset tuned_answers."""
        folder.mkdir()
        write_jsonl(folder / job.PROMPTS, read_prompts(project_root() / SETTINGS.prompts, SETTINGS.max_prompts))
        arguments = job.GenerateAnswers(
            settings=SETTINGS,
            inference=ENGINE,
            base_model=self.base,
            adapter=self.adapter,
            hashes=folder / "hashes" / "hashes.sqlite",
            out=folder,
            work=work,
        )
        return start_child(self.home, folder, job.generate, arguments)


def answers(child: "subprocess.Popen[str]", folder: Path) -> str:
    """The answers file, once the child is done."""
    finish(child, folder)
    return (folder / job.ANSWERS).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Arms:
    return Arms(tmp_path_factory.mktemp("arms"))


def test_answers_of_a_run_that_nobody_killed_differ_from_prompt_to_prompt(arms: Arms) -> None:
    lines = [json.loads(line) for line in arms.whole.splitlines()]
    assert len(lines) == SETTINGS.max_prompts
    assert len({line["reasoning"] for line in lines}) == SETTINGS.max_prompts


def test_a_child_killed_ten_times_resumes_to_the_records_of_an_uninterrupted_run(arms: Arms, tmp_path: Path) -> None:
    work = tmp_path / "work"
    moments = sorted(DRAWN.uniform(0, SETTINGS.max_prompts - 2) for _ in range(MOMENTS))
    for number, moment in enumerate(moments):
        folder = tmp_path / f"killed-{number}"
        killed = arms.generate(folder, work)
        deadline = time.monotonic() + 240
        while len(read_lines(work / NAME)) - 1 < moment:
            assert killed.poll() is None and time.monotonic() < deadline, "no request was finished"
            time.sleep(0.001)
        time.sleep(DRAWN.uniform(0, 0.05))
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert not (folder / job.ANSWERS).exists(), "the child was killed too late"
    finished = read_lines(work / NAME)

    resumed = answers(arms.generate(tmp_path / "resumed", work), tmp_path / "resumed")
    kept = f"{len(finished) - 1} of {SETTINGS.max_prompts} requests were finished before"
    assert kept in said(tmp_path / "resumed")
    assert read_lines(work / NAME)[: len(finished)] == finished, "a finished request is never written again"
    assert resumed == arms.whole
