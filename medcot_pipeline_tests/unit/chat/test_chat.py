from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcot_pipeline.chat import (
    IGNORED_LABEL,
    Written,
    encode_prompt,
    encode_row,
    render_completion,
    render_output,
    render_prompt,
    split_written,
    tokenizer_problems,
)
from medcot_pipeline.chat.r1_tokenizer import CHAT_TEMPLATE, SPECIAL_TOKENS, r1_distill_tokenizer
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.byte_tokenizer import CHATML, byte_tokenizer

QUESTION = "患儿，3岁，发热2天，体温39.2℃。首先考虑什么？"
REASONING = "嗯，先看热型。\n\nThe child has a rash:  红色斑丘疹，WBC 3.2×10⁹/L。"
ANSWER = "幼儿急疹。\nRest and fluids."
END = "<｜end▁of▁sentence｜>"

MEDICAL = st.sampled_from("患者男女发热咳嗽℃×⁹μ≥，。、？（）“”\u3000 \n\tABcdefg019.,%/()'-+|<>\\")
TEXTS = st.text(MEDICAL | st.characters(codec="utf-8"), max_size=80).filter(
    lambda text: not any(token in text for token in SPECIAL_TOKENS)
)
PURE = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.fixture(scope="module")
def r1() -> Any:
    return r1_distill_tokenizer()


@pytest.fixture(scope="module")
def saved(r1: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    r1.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(saved: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(saved)


def kept(labels: list[int]) -> list[int]:
    return [label for label in labels if label != IGNORED_LABEL]


def test_an_output_is_exactly_think_reasoning_think_answer() -> None:
    assert render_output("想\n想", "答") == "<think>\n想\n想\n</think>\n\n答"


def test_outer_white_space_is_no_part_of_an_output() -> None:
    assert render_output("\n 想 \n", "\u3000答\n") == render_output("想", "答")


def test_the_r1_prompt_is_the_published_one(r1: Any) -> None:
    assert render_prompt(r1, QUESTION) == f"<｜begin▁of▁sentence｜><｜User｜>{QUESTION}<｜Assistant｜><think>\n"


def test_the_special_tokens_have_the_published_ids(r1: Any) -> None:
    assert r1.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(151643, 151650))


def test_the_special_tokens_play_the_published_parts(r1: Any) -> None:
    assert (r1.eos_token_id, r1.pad_token_id, r1.bos_token_id, len(r1)) == (151643, 151643, 151646, 151650)


def test_the_prompt_s_tokens_begin_and_end_as_published(r1: Any) -> None:
    ids = encode_prompt(r1, QUESTION)
    assert ids[:2] == [151646, 151644]
    assert ids[-3:] == [151645, 151648, 198]
    assert ids.count(151646) == 1


def test_labels_are_reasoning_close_answer_and_end_token_and_nothing_of_the_prompt(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert r1.decode(kept(row.labels)) == f"{REASONING}\n</think>\n\n{ANSWER}{END}"


def test_labels_mask_the_prompt_by_position(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert row.labels == [IGNORED_LABEL] * len(row.prompt) + row.input_ids[len(row.prompt) :]


def test_the_end_token_is_learned_although_it_is_the_pad_token(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert r1.pad_token_id == r1.eos_token_id == row.labels[-1]


def test_input_is_prompt_reasoning_close_answer_and_end_token(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert r1.decode(row.input_ids) == f"{render_prompt(r1, QUESTION)}{REASONING}\n</think>\n\n{ANSWER}{END}"


def test_training_and_generation_begin_with_the_same_tokens(r1: Any) -> None:
    assert encode_row(r1, QUESTION, REASONING, ANSWER).prompt == encode_prompt(r1, QUESTION)


def test_the_reasoning_ends_with_its_closing_and_the_answer_with_the_end_token(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert [r1.decode(row.reasoning), r1.decode(row.answer)] == [f"{REASONING}\n</think>\n\n", f"{ANSWER}{END}"]


def test_segments_and_prompt_are_all_of_a_row(r1: Any) -> None:
    row = encode_row(r1, QUESTION, REASONING, ANSWER)
    assert row.input_ids == row.prompt + row.reasoning + row.answer


def test_a_template_without_think_counts_it_as_the_completion_s_first_token() -> None:
    tokenizer = byte_tokenizer()
    row = encode_row(tokenizer, QUESTION, REASONING, ANSWER)
    assert tokenizer.decode(row.prompt) == f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(kept(row.labels)) == f"{render_output(REASONING, ANSWER)}<|im_end|>"


def test_a_completion_after_an_open_think_does_not_open_it_again() -> None:
    completion, answer_at = render_completion("…<think>\n", "想", "答")
    assert (completion, completion[answer_at:]) == ("想\n</think>\n\n答", "答")


def test_a_completion_after_another_prompt_opens_the_thinking() -> None:
    completion, answer_at = render_completion("…assistant\n", "想", "答")
    assert (completion, completion[answer_at:]) == ("<think>\n想\n</think>\n\n答", "答")


def test_a_tokenizer_without_an_end_token_encodes_no_row() -> None:
    with pytest.raises(MedcotError, match="no end token"):
        encode_row(byte_tokenizer(eos_token=None), QUESTION, REASONING, ANSWER)


@PURE
@given(text=TEXTS)
def test_text_comes_back_whole_from_its_tokens(text: str) -> None:
    tokenizer = r1_distill_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@PURE
@given(question=TEXTS, reasoning=TEXTS, answer=TEXTS)
def test_a_row_comes_back_whole_from_its_labels(question: str, reasoning: str, answer: str) -> None:
    tokenizer = r1_distill_tokenizer()
    row = encode_row(tokenizer, question, reasoning, answer)
    assert tokenizer.decode(kept(row.labels)) == f"{reasoning.strip()}\n</think>\n\n{answer.strip()}{END}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("想一想\n</think>\n\n感冒。", Written("想一想", "感冒。", True)),
        ("<think>\n想一想\n</think>\n\n感冒。", Written("想一想", "感冒。", True)),
        ("\n <think>Think.</think>A cold. \n", Written("Think.", "A cold.", True)),
        ("想一想，还没想完", Written("想一想，还没想完", "", False)),
        ("<think>\n想一想", Written("想一想", "", False)),
        ("想\n</think>\n答</think>又答", Written("想", "答</think>又答", False)),
        ("想\n</think>\n<think>又想", Written("想", "<think>又想", False)),
        ("<think><think>想</think>答", Written("<think>想", "答", False)),
        ("想\n</think>\n\n", Written("想", "", True)),
        ("</think>\n\n答", Written("", "答", True)),
        ("", Written("", "", False)),
        (" \n", Written("", "", False)),
    ],
)
def test_what_a_model_wrote_is_taken_apart(text: str, expected: Written) -> None:
    assert split_written(text) == expected


@PURE
@given(reasoning=TEXTS, answer=TEXTS)
def test_a_completion_taken_apart_is_the_row_it_was_made_of(reasoning: str, answer: str) -> None:
    completion, _ = render_completion("<think>\n", reasoning, answer)
    assert split_written(completion) == Written(reasoning.strip(), answer.strip(), True)


def test_the_tokenizer_saved_and_loaded_encodes_the_same(r1: Any, loaded: Any) -> None:
    assert encode_row(loaded, QUESTION, REASONING, ANSWER) == encode_row(r1, QUESTION, REASONING, ANSWER)


def test_the_tokenizer_saved_and_loaded_has_the_same_special_tokens(r1: Any, loaded: Any) -> None:
    names = ("eos_token_id", "pad_token_id", "bos_token_id", "model_max_length", "chat_template")
    assert [getattr(loaded, name) for name in names] == [getattr(r1, name) for name in names]


def test_the_r1_tokenizer_fits_the_format(r1: Any) -> None:
    assert tokenizer_problems(r1) == []


def test_the_r1_tokenizer_saved_and_loaded_fits_the_format(loaded: Any) -> None:
    assert tokenizer_problems(loaded) == []


def test_another_model_s_tokenizer_fits_the_format() -> None:
    assert tokenizer_problems(byte_tokenizer()) == []


@pytest.mark.parametrize(
    "template",
    [
        CHAT_TEMPLATE.replace("<think>\\n", ""),
        CHAT_TEMPLATE.replace("<think>\\n", "<think>"),
        CHAT_TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }}Be brief."),
    ],
    ids=["no think", "no newline", "a system prompt"],
)
def test_a_tampered_r1_template_is_found(loaded: Any, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    monkeypatch.setattr(loaded, "chat_template", template)
    assert tokenizer_problems(loaded) == [
        "the R1 template's generation prompt is not the expected one, which ends in <think>"
    ]


def test_a_second_begin_token_is_found(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "chat_template", "{{ bos_token }}" + CHAT_TEMPLATE)
    assert "a prompt begins with more than one begin token" in tokenizer_problems(loaded)


def test_a_template_that_loses_the_question_is_found() -> None:
    tokenizer = byte_tokenizer(chat_template=CHATML.replace("message['content']", "message['content'] | upper"))
    assert tokenizer_problems(tokenizer) == ["a question changes when its prompt is turned into tokens and back"]


def test_a_tokenizer_that_loses_text_is_found() -> None:
    assert tokenizer_problems(byte_tokenizer(drops=r"\n")) == [
        "a completion changes when it is turned into tokens and back"
    ]


def test_a_tokenizer_without_an_end_token_is_found() -> None:
    (problem,) = tokenizer_problems(byte_tokenizer(eos_token=None))
    assert problem.startswith("there is no end token")


def test_a_tokenizer_without_a_chat_template_is_found() -> None:
    (problem,) = tokenizer_problems(byte_tokenizer(chat_template=None))
    assert problem.startswith("there is no chat template")


def test_thinking_marks_that_are_no_tokens_are_found() -> None:
    tokenizer = byte_tokenizer(
        bos_token="<|im_start|>",
        chat_template="{{ bos_token }}<｜User｜>{{ messages[0]['content'] }}<｜Assistant｜>{{ '<think>\\n' }}",
    )
    assert tokenizer_problems(tokenizer) == ["<think> is not a single token", "</think> is not a single token"]
