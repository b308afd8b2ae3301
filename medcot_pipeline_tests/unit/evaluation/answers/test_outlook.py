import dataclasses
import re
from typing import Any

import pytest

from medcot_pipeline.evaluation.answers.outlook import answer_lines
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import load_settings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline_tests.support import planning

workspace = planning.workspace


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `medcot plan` says where there is none, on a machine with one too."""
    monkeypatch.setattr("medcot_pipeline.evaluation.outlook.gpu_is_here", lambda: False)


def lines_of(workspace: Workspace, profile: str, **answers: Any) -> list[str]:
    """The lines of a profile with the project's own prompts."""
    settings = load_settings(profile)
    changed = settings.model_copy(update={"answers": settings.answers.model_copy(update=answers)})
    other = dataclasses.replace(workspace, settings=changed, root=project_root())
    return answer_lines(other, planning.plan(other))


def test_tokens_time_and_memory_of_both_arms_are_said_before_anything_is_there(workspace: Workspace) -> None:
    base, tuned = lines_of(workspace, "rtx4090", max_prompts=100, max_further=0)
    assert base.startswith(
        "base_answers: 204,800 tokens at most; writing on NVIDIA GeForce RTX 4090: weights unpacked once (15."
    )
    assert tuned.startswith("tuned_answers: 204,800 tokens at most; writing on NVIDIA GeForce RTX 4090: weights ")
    for line in (base, tuned):
        assert " within 24.0 GB; about " in line
        assert re.search(r"; 7\d,\d{3} tokens expected in about \d\d s$", line)


def test_a_base_whose_shape_is_not_known_yet_is_waited_for(workspace: Workspace) -> None:
    assert lines_of(workspace, "tiny") == ["not planned yet: needs base_model"]


def test_lengths_that_no_device_holds_are_one_line(workspace: Workspace) -> None:
    (line,) = lines_of(workspace, "rtx4090", max_new_tokens=1_000_000)
    assert line.startswith("NVIDIA GeForce RTX 4090 with 24.0 GB is too small to write rows of 1,0")
    assert ". Lower MEDCOT_ANSWERS__MAX_NEW_TOKENS, or give the engine more" in line


def test_an_endpoint_is_named(workspace: Workspace) -> None:
    there = load_settings("rtx4090").answers.endpoint.model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    assert lines_of(workspace, "rtx4090", backend="endpoint", endpoint=there) == ["asked of http://127.0.0.1:9/v1"]
