"""The token at the end of an answer: learned, whatever pads, and one that generation stops at."""

import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.chat import IGNORED_LABEL, encode_row
from medcot_pipeline.evaluation.answers.generation import generate_answers
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings, BaseModelSettings, LocalEngineSettings
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.micro_batch import MicroBatch, tensors
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

RESERVED = ("<|reserved_0|>", "<|reserved_1|>")


def write_model(folder: Path, tokenizer: Any, writes: str, ends: list[int]) -> None:
    """A model that writes one token, whatever it is asked: every position has the same state, and its row is that."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.randn(64).expand(len(tokenizer), 64))
        state = model.model(input_ids=torch.tensor([[1, 2, 3]])).last_hidden_state[0, -1]
        model.lm_head.weight.zero_()
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(writes)] = state
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_adapter(base: Path, folder: Path) -> None:
    """An adapter that changes nothing."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")).save_pretrained(folder)


@pytest.mark.parametrize("writes", ["<|im_end|>", "<|im_start|>"])
def test_an_answer_ends_at_the_tokenizers_end_token_and_at_the_models(tmp_path: Path, writes: str) -> None:
    """Staged after Blaizzy/mlx-vlm#2112 and QwenLM/Qwen3#927: one source of end tokens replaced the other."""
    tokenizer = byte_tokenizer()
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    write_model(tmp_path / "base", tokenizer, writes, [start, end])
    write_adapter(tmp_path / "base", tmp_path / "adapter")
    said: list[str] = []
    settings = AnswerSettings(max_new_tokens=6, temperature=0)
    prompts = [Prompt("p", "zh", "symptom", "发热查什么？")]
    for arm, adapter in zip(ARMS, (None, tmp_path / "adapter"), strict=True):
        model = LoadedModel(tmp_path / "base", adapter, LocalEngineSettings(), section="MEDCOT_ANSWERS")
        made = generate_answers(model, arm, prompts, settings, tmp_path / "work" / arm, said.append)
        assert [(each.arm, each.answer, each.finished, each.tokens) for each in made.answers] == [(arm, "", True, 1)]
    assert said.count("an answer may end with any of <|im_end|>, <|im_start|>; training teaches the first") == len(ARMS)


def test_end_tokens_that_contradict_each_other_are_refused_in_one_line_with_the_way_out(tmp_path: Path) -> None:
    """Staged after QwenLM/Qwen3#927: config.json said <|endoftext|>, tokenizer_config.json <|im_end|>."""
    tokenizer = byte_tokenizer()
    write_model(tmp_path / "base", tokenizer, "<|im_end|>", [0])
    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"eos_token_id": 0}), encoding="utf-8")
    (tmp_path / "out").mkdir()
    settings = BaseModelSettings(kind="path", path=tmp_path / "base")
    made = prepare_base_model(settings, tmp_path / "out", tmp_path / "cache", tmp_path, lambda line: None)
    (problem,) = made["tokenizer_problems"]
    assert problem.startswith("its end token is <|im_end|> (257), but eos_token_id in config.json is 0: set the one")
    assert "\n" not in problem


@pytest.mark.parametrize("packed", [False, True])
def test_the_end_token_is_learned_and_padding_is_not_though_both_are_one_token(packed: bool) -> None:
    """Staged after mlabonne/llm-course#33, huggingface/alignment-handbook#127 and
    ibm-granite/granite-3.1-language-models#2: pad is end, reserved tokens stand behind the answer.
    """
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(RESERVED)})
    answers = ("少量多次喝水。", f"退热。{''.join(RESERVED)}")
    rows = [encode_row(tokenizer, "发热怎么办？", "先看体温。", answer) for answer in answers]
    end = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == end
    known = [TrainingRow.of(row) for row in rows]
    width = sum(len(row.input_ids) for row in rows) + 8 if packed else max(len(row.input_ids) for row in rows) + 8
    made = tensors(MicroBatch(known, width=width, packed=packed), tokenizer.pad_token_id)
    ids, labels = made["input_ids"].flatten().tolist(), made["labels"].flatten().tolist()
    learned = [place for place, label in enumerate(labels) if label == end]
    assert len(learned) == len(rows)
    assert all(ids[place] == end for place in learned)
    for row in rows:
        kept = [label for label in row.labels if label != IGNORED_LABEL]
        assert kept == row.reasoning + row.answer and kept[-1] == end and kept.count(end) == 1
    assert tokenizer.convert_tokens_to_ids(list(RESERVED)) == rows[1].answer[-3:-1]
