"""Perplexity against a computation of its own, on the model that the profile `tiny` trained."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity.compare import both_arms
from medcot_pipeline.evaluation.perplexity.measure import measure_texts
from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget
from medcot_pipeline.evaluation.perplexity.rows import by_row
from medcot_pipeline.evaluation.perplexity.texts import encode_rows
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.load import load_tokenizer
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support.home import Home

ROWS = 16


def held_out(home: Home) -> pl.DataFrame:
    splits = pl.read_parquet(home.current("corpus_splits") / "rows.parquet")
    measured = pl.read_parquet(home.current("perplexity_report") / "examples.parquet").filter(set="test")
    return splits.filter(pl.col("row_id").is_in(measured["row_id"].implode())).sort("row_id")


def independent_nll(model: Any, tokenizer: Any, row: dict[str, str]) -> tuple[float, int]:
    """A row's sum and tokens by the library's own loss: no code of the project but the format, written out."""
    import torch

    prompt = f"<｜begin▁of▁sentence｜><｜User｜>{row['question']}<｜Assistant｜><think>\n"
    completion = f"{row['reasoning'].strip()}\n</think>\n\n{row['answer'].strip()}<｜end▁of▁sentence｜>"
    start = tokenizer(prompt, add_special_tokens=False).input_ids
    end = tokenizer(completion, add_special_tokens=False).input_ids
    labels = torch.tensor([[-100] * len(start) + end])
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([start + end]), labels=labels, use_cache=False).loss
    return float(loss) * len(end), len(end)


@pytest.fixture(scope="module")
def independent(chain: Home) -> dict[Arm, float]:
    """Perplexity of both arms, a row at a time; the base arm is a model that never had an adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    base = chain.current("base_model") / "weights"
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    model = AutoModelForCausalLM.from_pretrained(base, quantization_config=config, dtype=torch.float32)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # such CPUs would multiply in bfloat16
    tokenizer = AutoTokenizer.from_pretrained(base)
    values: dict[Arm, float] = {}
    for arm in ARMS:
        arm_model = model if arm == "base" else PeftModel.from_pretrained(model, chain.current("qlora_adapter"))
        sums = [independent_nll(arm_model.eval(), tokenizer, row) for row in held_out(chain).iter_rows(named=True)]
        values[arm] = math.exp(sum(nll for nll, _ in sums) / sum(tokens for _, tokens in sums))
    return values


@pytest.fixture(scope="module")
def loaded(chain: Home) -> dict[Arm, Any]:
    """Both models, each loaded for itself as the stages do."""
    base = chain.current("base_model") / "weights"
    return {"base": load_arm(base, None), "tuned": load_arm(base, chain.current("qlora_adapter"))}


def test_the_published_perplexity_is_that_of_an_independent_computation(
    chain: Home, independent: dict[Arm, float]
) -> None:
    figures = read_json(Path(chain.current("perplexity_report") / "perplexity.json"))
    assert figures["rows"] == ROWS
    for arm in ARMS:
        assert figures[arm]["value"] == pytest.approx(independent[arm], rel=1e-4)


@pytest.mark.parametrize("tokens", [1, 4096])
def test_longer_lines_give_the_same_perplexity(
    chain: Home, loaded: dict[Arm, Any], independent: dict[Arm, float], tokens: int
) -> None:
    tokenizer = load_tokenizer(chain.current("base_model") / "weights")
    texts = list(encode_rows(tokenizer, held_out(chain), "test"))
    budget = LineBudget(tokens, lambda line: None)
    base, tuned = (measure_texts(loaded[arm], texts, budget, lambda tokens: None)[0] for arm in ARMS)
    rows = by_row(both_arms(base, tuned))
    for arm in ARMS:
        value = math.exp(sum(rows[f"{arm}_nll"].to_list()) / sum(rows["tokens"].to_list()))
        assert value == pytest.approx(independent[arm], rel=1e-4)
