"""Measuring a tiny model with and without an adapter, for real, on the CPU."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity.compare import both_arms, largest_difference
from medcot_pipeline.evaluation.perplexity.job import (
    BASE_ON_TRAINING,
    EXAMPLES,
    TOKENS,
    TRAINING,
    MeasuredAdapter,
    MeasurePerplexity,
    measure_perplexity,
)
from medcot_pipeline.evaluation.perplexity.measure import EXAMPLE_SCHEMA
from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.models.load import load_base, load_tokenizer
from medcot_pipeline.records.figures import RowsOf
from medcot_pipeline.records.perplexity import TrainingRows
from medcot_pipeline.settings import BaseModelSettings, LocalEngineSettings, PerplexitySettings
from medcot_pipeline.support.json_files import read_model
from medcot_pipeline.training.rows import choose_rows

SETTINGS = PerplexitySettings(max_rows=5, train_rows=6, max_row_tokens=80)
RECORDED = {
    "sft.max_tokens": 2048,
    "training.max_row_tokens": 60,
    "training.max_train_tokens": 500,
    "training.seed": 42,
}


def rows(split: str, count: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "row_id": f"{split}-{number:02}",
                "split": split,
                "group_id": f"{split}-{number}",
                "language": "zh" if number % 2 else "en",
                "question": f"发热{number}天，查什么？" if number % 2 else f"Fever for {number} days?",
                "reasoning": ("先看体温。" if number % 2 else "Look at it. ") * (1 + number % 7) * (1 + number // 24),
                "answer": "血常规。" if number % 2 else "A blood count.",
            }
            for number in range(count)
        ]
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the base measured, an adapter measured, and one without effect."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("measured")
    base = folder / "base_model"
    tiny = BaseModelSettings(kind="tiny_random", tiny_hidden=64, tiny_layers=1)
    prepare_base_model(tiny, base, folder / "cache", folder, lambda line: None)
    sft, test = rows("train", 28), rows("test", 9)
    (folder / "sft").mkdir()
    sft.write_parquet(folder / "sft" / "rows.parquet")
    sft.head(1).with_columns(language=pl.lit("mixed")).write_parquet(folder / "sft" / "too_long.parquet")
    pl.concat([sft, test]).write_parquet(folder / "splits.parquet")
    (folder / "passages.jsonl").write_text('{"id": "a", "language": "en", "text": "Rivers flow."}\n')
    tokenizer = load_tokenizer(base / "weights")
    chosen = choose_rows(tokenizer, sft, max_row_tokens=60, max_tokens=500, seed=42)
    summary = {"rows": len(chosen.rows), "tokens": chosen.tokens, "plan": {"rows_per_step": 2}}
    for name, initial in (("adapter", False), ("idle", True)):
        config = LoraConfig(target_modules="all-linear", init_lora_weights=initial, task_type="CAUSAL_LM")
        get_peft_model(load_base(base / "weights"), config).save_pretrained(folder / name)
        (folder / name / "aside").mkdir()
        stopped = {"optimizer_steps": 9, "best_checkpoint_step": 4}
        (folder / name / "aside" / "training.json").write_text(json.dumps(summary | stopped))
    measure(folder, "base", None)
    for name in ("adapter", "idle"):
        measure(folder, f"of {name}", told(folder, name))
    return folder


def told(folder: Path, name: str) -> MeasuredAdapter:
    return MeasuredAdapter(folder=folder / name, settings=RECORDED, sft=folder / "sft")


def measure(
    folder: Path,
    out: str,
    adapter: MeasuredAdapter | None,
    say: Callable[[str], None] = lambda line: None,
    settings: PerplexitySettings = SETTINGS,
) -> dict[str, Any]:
    (folder / out).mkdir()
    asked = MeasurePerplexity(
        settings=settings,
        inference=LocalEngineSettings(),
        base_model=folder / "base_model",
        adapter=adapter,
        hashes=folder / "hashes.sqlite",
        splits=folder / "splits.parquet",
        passages=folder / "passages.jsonl",
        out=folder / out,
    )
    return measure_perplexity(MeasurePerplexity(**json.loads(asked.model_dump_json())), say)


def test_training_rows_are_such_as_the_adapter_has_learned_from(measured: Path) -> None:
    tokenizer = load_tokenizer(measured / "base_model" / "weights")
    sft = pl.read_parquet(measured / "sft" / "rows.parquet")
    chosen = choose_rows(tokenizer, sft, max_row_tokens=60, max_tokens=500, seed=42)
    trained = pl.read_parquet(measured / "of adapter" / EXAMPLES).filter(set="train")
    never = set(trained["row_id"]) - set(chosen.taken)
    assert (len(never), trained["row_id"].n_unique()) == (0, SETTINGS.train_rows)
    known = read_model(measured / "of adapter" / TRAINING, TrainingRows)
    assert known.learned == 8, "the published checkpoint is that of the fourth step of two rows"
    assert known.left_out is not None and known.left_out["mixed"] == RowsOf(rows=1, of=1)
    assert sum(each.rows for each in known.left_out.values()) == 1 + chosen.too_long > 1
    assert sum(each.of for each in known.left_out.values()) == 1 + sft.height


def test_the_base_is_measured_alone_on_what_does_not_depend_on_an_adapter(measured: Path) -> None:
    examples = pl.read_parquet(measured / "base" / EXAMPLES)
    assert set(examples["set"]) == {"test", "general"}
    assert dict(examples.schema) == EXAMPLE_SCHEMA
    assert not (measured / "base" / TRAINING).exists()


def test_both_arms_have_the_same_rows_and_tokens_of_every_set(measured: Path) -> None:
    alone = pl.read_parquet(measured / "base" / EXAMPLES)
    beside = pl.read_parquet(measured / "of adapter" / BASE_ON_TRAINING)
    both = both_arms(pl.concat([alone, beside]), pl.read_parquet(measured / "of adapter" / EXAMPLES))
    columns = ["set", "row_id", "segment", "tokens", "text_tokens", "bytes"]
    base, tuned = (both.filter(arm=arm).select(columns) for arm in ("base", "tuned"))
    assert base.equals(tuned)
    assert (
        both.filter(arm="base", set="train")["nll"].to_list() != both.filter(arm="tuned", set="train")["nll"].to_list()
    )


def test_an_adapter_without_effect_differs_by_nothing_at_all(measured: Path) -> None:
    base = pl.read_parquet(measured / "base" / TOKENS)
    assert largest_difference(base, pl.read_parquet(measured / "of idle" / TOKENS)) == 0.0
    assert largest_difference(base, pl.read_parquet(measured / "of adapter" / TOKENS)) > 0.0
    tuned = pl.read_parquet(measured / "of idle" / EXAMPLES).filter(set="train")
    assert tuned.equals(pl.read_parquet(measured / "of idle" / BASE_ON_TRAINING))


def test_an_adapter_whose_data_are_gone_is_measured_without_training_rows(measured: Path) -> None:
    adapter = told(measured, "adapter").model_copy(update={"sft": None})
    measure(measured, "without data", adapter)
    assert set(pl.read_parquet(measured / "without data" / EXAMPLES)["set"]) == {"test", "general"}
    assert read_model(measured / "without data" / TRAINING, TrainingRows).learned is None


def test_the_plan_is_said_before_loading_and_figures_say_what_they_depend_on(measured: Path) -> None:
    said: list[str] = []
    made_with = measure(measured, "said", None, said.append)["made_with"]
    assert said[0].startswith("measuring on CPU, ") and "rows packed in lines of 2,048 tokens; " in said[0]
    assert made_with["precision"] == "NF4 unpacked to float32"
    assert made_with["rows"] == "packed in lines of 2,048 tokens"


def test_a_batch_size_of_older_settings_is_read_and_changes_nothing(measured: Path) -> None:
    older = SETTINGS.model_copy(update={"batch_size": 1})
    before, after = measure(measured, "as ever", None), measure(measured, "older", None, settings=older)
    assert before["made_with"] == after["made_with"]
    assert pl.read_parquet(measured / "as ever" / TOKENS).equals(pl.read_parquet(measured / "older" / TOKENS))
