import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity import measure as perplexity
from medcot_pipeline.evaluation.perplexity.compare import both_arms, largest_difference
from medcot_pipeline.evaluation.perplexity.figures import definition_rows, incumbent_figures, perplexity_figures
from medcot_pipeline.evaluation.perplexity.measure import (
    EXAMPLE_SCHEMA,
    Passage,
    Text,
    encode_passage,
    encode_split,
    measure_texts,
    read_passages,
    token_nll,
)
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.perplexity import PerplexityFigures
from medcot_pipeline.settings import PerplexitySettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

SETTINGS = PerplexitySettings(bootstrap_resamples=200)
BOTH_SCHEMA = {**EXAMPLE_SCHEMA, "arm": pl.String}
ROWS = [[5, 9, 2, 40, 7], [1, 2], [3] * 17, list(range(30, 60))]


@pytest.fixture(scope="module")
def arms() -> Any:
    """A Llama of a few thousand random weights with an adapter that changes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    adapter = LoraConfig(target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(LlamaForCausalLM(config), adapter).eval()


def library_nll(model: Any, ids: list[int]) -> float:
    """The sum by transformers' own loss."""
    import torch

    with torch.no_grad():
        row = torch.tensor([ids])
        return float(model(input_ids=row, labels=row).loss) * (len(ids) - 1)


@pytest.mark.parametrize("chunk", [1, 3, 32])
def test_padding_and_chunks_change_nothing(arms: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(perplexity.LOGIT_CHUNKS, "cpu", chunk)
    together = token_nll(arms, ROWS, pad_token_id=0)
    assert [len(losses) for losses in together] == [len(ids) - 1 for ids in ROWS]
    for losses, ids in zip(together, ROWS, strict=True):
        assert float(losses.sum()) == pytest.approx(library_nll(arms, ids), rel=1e-5)
        assert losses.tolist() == pytest.approx(token_nll(arms, [ids], pad_token_id=0)[0].tolist(), abs=1e-5)


def test_segments_add_up_to_the_whole_and_marks_are_no_text(arms: Any) -> None:
    tokenizer = byte_tokenizer()
    end = tokenizer.eos_token_id
    texts = [Text("test", "a", "zh", "g", {"prompt": [3, 4], "reasoning": [5, 6, 7], "answer": [8, end]})]
    examples, tokens = measure_texts(arms, tokenizer, texts, 4, lambda line: None)
    tuned = {row["segment"]: row for row in examples.to_dicts()}
    assert sum(row["nll"] for row in tuned.values()) == pytest.approx(library_nll(arms, texts[0].ids), rel=1e-5)
    assert {name: row["tokens"] for name, row in tuned.items()} == {"prompt": 1, "reasoning": 3, "answer": 2}
    assert tuned["reasoning"]["text_nll"] == tuned["reasoning"]["nll"]
    assert tuned["answer"]["text_nll"] < tuned["answer"]["nll"], "the end token is no text"
    assert tuned["answer"]["bytes"] == len(tokenizer.decode([8]).encode())
    assert sum(tokens["nll"].item()) == pytest.approx(library_nll(arms, texts[0].ids), rel=1e-5)


def base_and_tuned(arms: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The loss of every token of the rows under the base and under the base with the adapter."""
    texts = [Text("test", str(n), "zh", "g", {"prompt": [1], "text": ids}) for n, ids in enumerate(ROWS)]
    _, tuned = measure_texts(arms, byte_tokenizer(), texts, 2, lambda line: None)
    with arms.disable_adapter():
        _, base = measure_texts(arms, byte_tokenizer(), texts, 2, lambda line: None)
    return base, tuned


def test_the_largest_difference_is_that_of_one_token(arms: Any) -> None:
    base, tuned = base_and_tuned(arms)
    every = [
        abs(one - other)
        for losses, others in zip(base["nll"].to_list(), tuned["nll"].to_list(), strict=True)
        for one, other in zip(losses, others, strict=True)
    ]
    assert largest_difference(base, tuned) == max(every) > 0


def test_an_adapter_without_effect_has_a_difference_of_0(arms: Any) -> None:
    import torch

    weights = {name: weight.clone() for name, weight in arms.state_dict().items()}
    try:
        with torch.no_grad():
            for name, weight in arms.named_parameters():
                if "lora_B" in name:
                    weight.zero_()
        assert largest_difference(*base_and_tuned(arms)) == 0.0
    finally:
        arms.load_state_dict(weights)


def test_rows_are_encoded_as_for_training_and_passages_behind_a_first_token() -> None:
    tokenizer = byte_tokenizer()
    row = {"row_id": "r", "split": "test", "group_id": "g", "language": "zh", "question": "问", "reasoning": "想"}
    (text,) = encode_split(tokenizer, pl.DataFrame([{**row, "answer": "答"}]), "test")
    whole = tokenizer.decode(text.ids)
    assert whole.endswith("<|im_start|>assistant\n<think>\n想\n</think>\n\n答<|im_end|>")
    assert list(text.segments) == ["prompt", "reasoning", "answer"]
    passage = encode_passage(tokenizer, Passage("zh-1", "zh", "河流"))
    assert passage.segments["prompt"] == [tokenizer.eos_token_id]
    assert tokenizer.decode(passage.segments["text"]) == "河流"


def both(row_id: str, base: float, tuned: float, tokens: int, **changes: Any) -> list[dict[str, Any]]:
    """Lines of a row in both arms; half of it is reasoning, half answer, unless a segment is given."""
    fields = {"set": "test", "row_id": row_id, "language": "zh", "group_id": row_id, **changes}
    segments = [fields["segment"]] if "segment" in fields else ["reasoning", "answer"]
    share = {"tokens": tokens // len(segments), "bytes": 3 * tokens // len(segments)}
    return [
        {**fields, **share, "segment": segment, "arm": arm, "nll": nll / len(segments), "text_nll": nll / len(segments)}
        for arm, nll in zip(ARMS, (base, tuned), strict=True)
        for segment in segments
    ]


def figures(*lines: dict[str, Any]) -> PerplexityFigures:
    examples = pl.DataFrame(lines, schema=BOTH_SCHEMA)
    questions = dict.fromkeys(examples["row_id"], "？")
    return perplexity_figures(examples, questions, SETTINGS, left_out=0, max_logit_difference=1.0)


def test_perplexity_is_a_ratio_of_sums_and_not_a_mean_over_rows() -> None:
    measured = figures(
        *both("a", 20.0, 10.0, 10, segment="reasoning"),
        *both("a", 4.0, 2.0, 2, segment="answer"),
        *both("b", 6.0, 6.0, 30),
    )
    assert measured.base.value == pytest.approx(math.exp(30 / 42))
    assert measured.tuned.value == pytest.approx(math.exp(18 / 42))
    assert measured.ratio.value == pytest.approx(math.exp(-12 / 42))
    assert measured.definitions.macro.base == pytest.approx(math.exp((24 / 12 + 6 / 30) / 2))
    assert measured.segments.answer.base.value == pytest.approx(math.exp((4 + 3) / (2 + 15)))
    assert measured.bits_per_byte.base.value == pytest.approx(30 / (math.log(2) * 126))
    assert (measured.rows, measured.share_improved) == (2, 0.5)


def test_against_the_incumbent_the_same_definition_holds() -> None:
    lines = pl.DataFrame([*both("a", 9.0, 4.0, 10), *both("b", 9.0, 6.0, 10)], schema=BOTH_SCHEMA)
    beside = pl.DataFrame([*both("a", 0.0, 5.0, 10), *both("b", 0.0, 7.0, 10)], schema=BOTH_SCHEMA)
    incumbent = beside.filter(arm="tuned").drop("arm")
    compared = incumbent_figures(lines, incumbent, SETTINGS)
    values = {name: each.value for name, each in compared}
    assert values == pytest.approx({"incumbent": math.exp(0.6), "tuned": math.exp(0.5), "ratio": math.exp(-0.1)})


def test_two_measures_are_put_side_by_side_by_row_and_segment() -> None:
    lines = pl.DataFrame([*both("b", 9.0, 4.0, 10), *both("a", 8.0, 6.0, 10)], schema=BOTH_SCHEMA)
    base, tuned = (lines.filter(arm=arm).drop("arm") for arm in ARMS)
    together = both_arms(base, tuned)
    assert together.columns == list(BOTH_SCHEMA)
    assert together.equals(lines.sort("set", "row_id", "arm", "segment"))


def test_full_text_scores_the_prompt_and_the_headline_does_not() -> None:
    measured = figures(*both("a", 4.0, 4.0, 4), *both("a", 40.0, 40.0, 4, segment="prompt"))
    assert measured.base.value == pytest.approx(math.e)
    assert measured.definitions.full_text.base == pytest.approx(math.exp(44 / 8))


def test_the_trainers_average_depends_on_its_batches() -> None:
    rows = [each for n in range(8) for each in both(f"a{n}", 10.0, 10.0, 10)] + both("b", 400.0, 400.0, 100)
    assert figures(*rows).definitions.trainer_style.base == pytest.approx(math.exp((8 * 1 + 1 * 4) / 9))


def test_near_duplicates_are_one_piece_of_evidence() -> None:
    apart = [each for n in range(12) for each in both(f"r{n}", 10.0 + n, 8.0, 10)]
    copies = [{**each, "group_id": "one" if int(each["row_id"][1:]) < 6 else "two"} for each in apart]
    free, grouped = figures(*apart), figures(*copies)
    assert grouped.base.value == pytest.approx(free.base.value)
    assert (free.groups, grouped.groups) == (12, 2)
    assert grouped.base.high - grouped.base.low > free.base.high - free.base.low


def test_forgetting_and_the_gap_are_measured_apart_from_the_headline() -> None:
    measured = figures(
        *both("a", 10.0, 10.0, 10),
        *both("t", 10.0, 5.0, 10, set="train"),
        *both("g", 10.0, 12.0, 10, set="general", segment="text", language="en"),
    )
    assert measured.base.value == pytest.approx(math.e)
    assert measured.general and measured.overfitting
    assert measured.general.languages["en"].ratio.value == pytest.approx(math.exp(0.2))
    assert measured.overfitting.base.value == pytest.approx(1.0)
    assert measured.overfitting.tuned.value == pytest.approx(math.exp(0.5))
    shown = {row.definition: row.tuned for row in definition_rows(measured)}
    assert shown["general passages (forgetting)"] == measured.general.tuned


def test_without_passages_and_training_rows_forgetting_and_gap_are_not_measured() -> None:
    measured = figures(*both("a", 10.0, 5.0, 10))
    assert (measured.general, measured.overfitting) == (None, None)
    assert len(definition_rows(measured)) == 7


def test_the_projects_passages_are_twenty_of_each_language() -> None:
    passages = read_passages(project_root() / PerplexitySettings().general_texts)
    assert [passage.language for passage in passages] == ["zh"] * 20 + ["en"] * 20
    assert len({passage.id for passage in passages}) == len({passage.text for passage in passages}) == 40


def test_a_passage_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    line = '{"id": "zh-1", "language": "zh", "text": "河流"}\n'
    (tmp_path / "passages.jsonl").write_text(line * 2, encoding="utf-8")
    with pytest.raises(MedcotError, match="line 2: the id zh-1 stands twice"):
        read_passages(tmp_path / "passages.jsonl")


def test_a_line_that_is_no_passage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "passages.jsonl"
    path.write_text(json.dumps({"id": "a", "language": "zh"}) + "\n", encoding="utf-8")
    with pytest.raises(MedcotError, match=r"passages.jsonl, line 1: not a passage"):
        read_passages(path)
