"""What `medcot plan` says of measuring, and the plan that the stages make."""

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity.packing.outlook import expected_tokens, perplexity_lines
from medcot_pipeline.evaluation.perplexity.packing.plan import may_pack, plan_perplexity
from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.shape import KNOWN_SHAPES
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import PerplexitySettings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline_tests.support import planning

workspace = planning.workspace
SHAPE = KNOWN_SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]


def gpu(gigabytes: float, *, varlen_kernel: bool = True) -> Device:
    return Device("NVIDIA GeForce RTX 4090", gigabytes, varlen_kernel)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `medcot plan` says where there is none, on a machine with one too."""
    monkeypatch.setattr("medcot_pipeline.evaluation.perplexity.packing.outlook.gpu_is_here", lambda: False)


def test_weights_are_unpacked_where_that_leaves_room_for_the_longest_row() -> None:
    plans = {size: plan_perplexity(SHAPE, gpu(size), 2048, packs=True) for size in (80.0, 24.0, 20.0, 16.0, 12.0)}
    chosen = {size: (plan.unpack, plan.line_tokens) for size, plan in plans.items()}
    assert chosen == {
        80.0: (True, 8192),
        24.0: (True, 8192),
        20.0: (True, 4096),
        16.0: (False, 8192),
        12.0: (False, 8192),
    }
    for size, plan in plans.items():
        assert plan.memory_bytes is not None and plan.memory_bytes <= size * 1e9


def test_a_little_less_free_memory_cuts_both_arms_into_the_same_lines() -> None:
    one, other = (plan_perplexity(SHAPE, gpu(size), 2048, packs=True) for size in (24.0, 22.4))
    assert (one.unpack, one.line_tokens) == (other.unpack, other.line_tokens)


def test_a_row_that_is_longer_than_every_line_is_planned_for() -> None:
    plan = plan_perplexity(SHAPE, gpu(80.0), 20_001, packs=True)
    assert plan.line_tokens == 20_032


def test_a_gpu_that_is_too_small_is_told_what_it_lacks() -> None:
    with pytest.raises(
        MedcotError, match=r"with 6.0 GB is too small to measure a row of 2,048 tokens: \d\.\d GB more are"
    ):
        plan_perplexity(SHAPE, gpu(6.0), 2048, packs=True)


def test_rows_are_measured_alone_where_the_kernel_does_not_take_them_together(tmp_path: Path) -> None:
    windowed = {"model_type": "mistral", "sliding_window": 4096}
    for config, device, packs in (
        ({"model_type": "qwen2"}, gpu(24.0), True),
        ({"model_type": "qwen2"}, gpu(24.0, varlen_kernel=False), False),
        (windowed, gpu(24.0), False),
        ({"model_type": "llama"}, Device("CPU", None, varlen_kernel=False), True),
        (windowed, Device("CPU", None, varlen_kernel=False), False),
    ):
        write_json(tmp_path / "config.json", config)
        assert may_pack(tmp_path, device) is packs
    plan = plan_perplexity(SHAPE, gpu(24.0, varlen_kernel=False), 2048, packs=False)
    assert plan.line_tokens == 0
    assert "rows each alone, about " in plan.line(1000)


def lines_of(workspace: Workspace, profile: str, **perplexity: Any) -> list[str]:
    settings = load_settings(profile)
    changed = settings.model_copy(update={"perplexity": settings.perplexity.model_copy(update=perplexity)})
    other = dataclasses.replace(workspace, settings=changed)
    return perplexity_lines(other, planning.plan(other))


def test_memory_and_speed_are_said_before_there_are_rows(workspace: Workspace) -> None:
    (line,) = lines_of(workspace, "rtx4090")
    assert line.startswith(
        "measuring on NVIDIA GeForce RTX 4090: weights unpacked once (15.6 GB), rows packed in lines of 8,192 tokens, "
        "about 21.0 GB of 24.0; about "
    )
    assert line.endswith(" tokens/s; how many tokens is known once there is corpus_splits and sft_dataset")


def test_a_base_whose_shape_is_not_known_yet_is_waited_for(workspace: Workspace) -> None:
    assert lines_of(workspace, "tiny") == ["not planned yet: needs base_model"]


def test_rows_that_no_device_holds_are_one_line(workspace: Workspace) -> None:
    (line,) = lines_of(workspace, "rtx4090", max_row_tokens=1_000_000)
    assert line.startswith("NVIDIA GeForce RTX 4090 with 24.0 GB is too small to measure a row of 1,000,000 tokens: ")


def test_tokens_follow_from_characters_and_the_adapters_own_rows_count_twice(tmp_path: Path) -> None:
    def rows(split: str, *lengths: int) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "row_id": f"{split}-{number}",
                    "split": split,
                    "language": "en",
                    "question": "q" * 10,
                    "reasoning": "r" * (length - 20),
                    "answer": "a" * 10,
                    "tokens": length // 4,
                }
                for number, length in enumerate(lengths)
            ]
        )

    splits, sft, passages = (tmp_path / name for name in ("splits.parquet", "sft.parquet", "passages.jsonl"))
    pl.concat([rows("test", 400, 800, 4000), rows("train", 400)]).drop("tokens").write_parquet(splits)
    rows("train", 400, 1200, 8000).write_parquet(sft)
    passages.write_text('{"id": "a", "language": "en", "text": "' + "x" * 40 + '"}\n')
    settings = PerplexitySettings(max_row_tokens=500, train_rows=3)
    base = 100 + 200 + 10
    assert expected_tokens(settings, splits, sft, passages) == {
        "base_perplexity": base,
        "tuned_perplexity": base + 2 * 3 * 200,
    }
    few = settings.model_copy(update={"max_rows": 1})
    assert expected_tokens(few, splits, sft, passages)["base_perplexity"] == 100 + 10
