"""What `medcot plan` says of exams that are to be asked."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.exams.outlook import exam_lines
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import load_settings
from medcot_pipeline_tests.support import planning

workspace = planning.workspace


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `medcot plan` says where there is none, on a machine with one too."""
    monkeypatch.setattr("medcot_pipeline.evaluation.outlook.gpu_is_here", lambda: False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty questions in a file."""
    item = {"question": "下列哪项正确？", "options": {"A": "甲", "B": "乙"}, "answer": "A"}
    lines = [json.dumps(item | {"question": f"{number}. {item['question']}"}) for number in range(30)]
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked" / "exam.jsonl").write_text("\n".join(lines))
    return tmp_path / "asked"


def lines_of(workspace: Workspace, profile: str, **exams: Any) -> list[str]:
    settings = load_settings(profile)
    changed = settings.model_copy(update={"exams": settings.exams.model_copy(update=exams)})
    other = dataclasses.replace(workspace, settings=changed)
    return exam_lines(other, planning.plan(other))


def test_nothing_is_said_where_no_exams_are_set(workspace: Workspace) -> None:
    assert lines_of(workspace, "rtx4090", folder=None) == []


def test_tokens_time_and_memory_of_both_arms_are_said(workspace: Workspace, folder: Path) -> None:
    base, tuned = lines_of(workspace, "rtx4090", folder=folder, max_questions=20, samples=2)
    assert base.startswith("base_exams: 163,840 tokens at most; writing on NVIDIA GeForce RTX 4090: weights unpacked")
    assert tuned.startswith("tuned_exams: 163,840 tokens at most; writing on NVIDIA GeForce RTX 4090: weights ")
    for line in (base, tuned):
        assert " within 24.0 GB; about " in line
        assert " tokens expected in about " in line


def test_the_setting_of_exams_is_named_where_their_answers_do_not_fit(workspace: Workspace, folder: Path) -> None:
    (line,) = lines_of(workspace, "rtx4090", folder=folder, max_new_tokens=1_000_000)
    assert line.startswith("NVIDIA GeForce RTX 4090 with 24.0 GB is too small to write rows of 1,000,")
    assert "Lower MEDCOT_EXAMS__MAX_NEW_TOKENS, or " in line


def test_a_folder_without_an_exam_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (line,) = lines_of(workspace, "rtx4090", folder=tmp_path / "empty")
    assert line.startswith(f"MEDCOT_EXAMS__FOLDER={tmp_path / 'empty'}: no ")
