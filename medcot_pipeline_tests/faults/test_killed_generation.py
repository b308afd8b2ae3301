"""Answers and exams of a model with random weights, killed again and again: the records of a run nobody killed."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.answers import job
from medcot_pipeline.evaluation.exams import job as exams
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.records.prompts import read_prompts
from medcot_pipeline.settings import AnswerSettings, ExamSettings, LocalEngineSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.journals import read_lines
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.child_process import finish, said, start_child
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.tiny_arms import tiny_arms

SETTINGS = AnswerSettings(max_prompts=24, max_new_tokens=120, seed=5)
EXAMS = ExamSettings(max_questions=8, samples=3, max_new_tokens=120, seed=5)
REQUESTS = 24
"""Of either."""
ENGINE = LocalEngineSettings(rows=3)
LATEST = 14
"""Finished requests at the last moment: behind it enough are left that the child cannot be over before it is killed."""
Start = Callable[[Path, Path], "subprocess.Popen[str]"]
"""Starts a child that writes into a folder, with another for what is finished."""


class Arms:
    """A base and an adapter, and the child processes of the assets of the tuned arm."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder = Home(folder / "home"), folder
        self.base, self.adapter = tiny_arms(folder)
        rows = [
            {"question": f"第{n}题：首选的药物是哪一种", "options": "A 甲药\nB 乙药", "answer": "A"} for n in range(8)
        ]
        self.exam = folder / "exam.jsonl"
        self.exam.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
        self.splits = folder / "rows.parquet"
        pl.DataFrame({"row_id": ["row-1"], "split": ["train"], "key": ["头痛三天怎么办"]}).write_parquet(self.splits)

    def answer(self, folder: Path, work: Path) -> "subprocess.Popen[str]":
        """Of tuned_answers."""
        folder.mkdir()
        write_jsonl(folder / job.PROMPTS, read_prompts(project_root() / SETTINGS.prompts, SETTINGS.max_prompts))
        arguments = job.GenerateAnswers(
            settings=SETTINGS,
            **self._given(folder, work),
        )
        return start_child(self.home, folder, job.generate, arguments)

    def examine(self, folder: Path, work: Path) -> "subprocess.Popen[str]":
        """Of tuned_exams."""
        folder.mkdir()
        arguments = exams.AskExams(
            settings=EXAMS,
            splits=self.splits,
            files=[self.exam],
            **self._given(folder, work),
        )
        return start_child(self.home, folder, exams.ask, arguments)

    def _given(self, folder: Path, work: Path) -> dict[str, Any]:
        """What the child of either asset is given."""
        return {
            "inference": ENGINE,
            "base_model": self.base,
            "adapter": self.adapter,
            "hashes": folder / "hashes" / "hashes.sqlite",
            "out": folder,
            "work": work,
        }


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Arms:
    return Arms(tmp_path_factory.mktemp("arms"))


def answers(child: "subprocess.Popen[str]", folder: Path) -> list[str]:
    """The lines of the answers file, once the child is done; both assets name it alike."""
    finish(child, folder)
    return (folder / job.ANSWERS).read_text(encoding="utf-8").splitlines()


def kill_at_random(start: Start, folder: Path, work: Path, kills: int) -> None:
    """Kill one child after the other, each with more requests finished than the one before, or as many."""
    drawn = random.Random(15)
    moments = sorted(drawn.uniform(0, LATEST) for _ in range(kills))
    for number, moment in enumerate(moments):
        killed = start(folder / f"killed-{number}", work)
        deadline = time.monotonic() + 240
        while len(read_lines(work / NAME)) - 1 < moment:
            assert killed.poll() is None and time.monotonic() < deadline, "no request was finished"
            time.sleep(0.001)
        time.sleep(drawn.uniform(0, 0.05))
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert not (folder / f"killed-{number}" / job.ANSWERS).exists(), "the child was killed too late"


@pytest.mark.parametrize("asset", ["answers", "exams"])
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.faults)])
def test_a_child_killed_at_random_moments_resumes_to_the_records_of_an_uninterrupted_run(
    arms: Arms, tmp_path: Path, asset: str, kills: int
) -> None:
    start = arms.answer if asset == "answers" else arms.examine
    whole = answers(start(tmp_path / "whole", tmp_path / "whole work"), tmp_path / "whole")
    assert len(set(whole)) == REQUESTS
    work = tmp_path / "work"
    kill_at_random(start, tmp_path, work, kills)
    finished = read_lines(work / NAME)

    resumed = answers(start(tmp_path / "resumed", work), tmp_path / "resumed")
    assert f"{len(finished) - 1} of {REQUESTS} requests were already finished" in said(tmp_path / "resumed")
    assert read_lines(work / NAME)[: len(finished)] == finished, "a finished request is never written again"
    assert resumed == whole
