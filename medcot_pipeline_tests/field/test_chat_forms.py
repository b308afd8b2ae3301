"""The forms that chat data has are read, with the reasoning taken out, or refused by name."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.sources.source import SourceRows, read_rows
from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.corpus_chain import lines, make_raw, record, texts, workspace_over

QUESTION, REASONING, ANSWER = texts(1)
THOUGHT = f"<think>\n{REASONING}\n</think>\n\n{ANSWER}"


def user(content: Any = QUESTION) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = THOUGHT, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def human(value: Any = QUESTION) -> dict[str, Any]:
    return {"from": "human", "value": value}


def gpt(value: Any = THOUGHT) -> dict[str, Any]:
    return {"from": "gpt", "value": value}


def system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


def read(folder: Path, *records: Any) -> SourceRows:
    (folder / "rows.jsonl").write_text(lines(*records), encoding="utf-8")
    return read_rows(folder / "rows.jsonl", SourceSettings())


def reason(folder: Path, one: Any) -> str:
    (reject,) = read(folder, one).rejects
    return reject.reason


@pytest.mark.parametrize(
    "one",
    [
        {"messages": [user(), assistant()]},
        {"messages": [user(), assistant(REASONING + "</think>" + ANSWER)]},
        {"messages": [user(), assistant(ANSWER, reasoning_content=REASONING)], "tools": []},
        {"messages": [user(), assistant(THOUGHT, reasoning_content=f"{REASONING}\n")]},
        {"messages": [user([{"type": "text", "text": QUESTION}]), assistant([{"type": "text", "text": THOUGHT}])]},
        {"messages": [system("You are an expert in internal medicine."), user(), assistant()]},
        {
            "messages": [
                system("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
                user(),
                assistant(),
            ]
        },
        {"messages": [system("你是一名经验丰富的医生。"), user(), assistant()]},
        {"conversations": [human(), gpt()], "system": "", "tools": "[]"},
        {"conversations": [user(), assistant()]},
        {"instruction": QUESTION, "input": "", "output": THOUGHT, "history": []},
        {"instruction": "", "input": QUESTION, "output": THOUGHT},
        {"instruction": QUESTION, "output": ANSWER, "reasoning_content": REASONING},
        {"prompt": QUESTION, "completion": THOUGHT},
        {"prompt": [user()], "completion": [assistant()]},
    ],
)
def test_a_question_with_a_reasoned_answer_is_the_same_row_in_every_form(tmp_path: Path, one: Any) -> None:
    """Staged after hiyouga/LlamaFactory issues 8947 and 7577, where chat data is asked for columns that it lacks,
    and jingyaogong/minimind issue 737, where `reasoning_content` is lost.
    """
    rows = read(tmp_path, one)
    assert rows.rejects == []
    assert rows.rows.equals(read(tmp_path, record(1)).rows)


def test_instruction_and_input_are_one_question(tmp_path: Path) -> None:
    """Staged after hiyouga/LlamaFactory issue 3018."""
    rows = read(tmp_path, {"instruction": "回答下面的问题。", "input": QUESTION, "output": THOUGHT})
    assert rows.rows["question"].to_list() == [f"回答下面的问题。\n{QUESTION}"]


def test_messages_in_a_table_are_read(tmp_path: Path) -> None:
    """Staged after hiyouga/LlamaFactory issue 5503."""
    pl.DataFrame({"messages": [[user(), assistant()]], "text": [None]}).write_parquet(tmp_path / "rows.parquet")
    rows = read_rows(tmp_path / "rows.parquet", SourceSettings())
    assert rows.rows.equals(read(tmp_path, record(1)).rows)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            {"messages": [user(), assistant(), user(), assistant()]},
            "messages: 2 messages of the user and 2 of the assistant; one question with one answer behind it is read",
        ),
        ({"messages": [assistant(), user()]}, "messages: 1 messages of the user and 1 of the assistant"),
        (
            {"instruction": QUESTION, "output": THOUGHT, "history": [["q", "a"]]},
            "instruction/output: a history of earlier turns",
        ),
        (
            {"messages": [user(), assistant(None, tool_calls=[{"id": "1"}])]},
            "messages: a call of a tool",
        ),
        ({"conversations": [human(), {"from": "function_call", "value": "{}"}]}, "conversations: a call of a tool"),
        ({"conversations": [human(), gpt()], "tools": '[{"name": "search"}]'}, "conversations: a call of a tool"),
        (
            {"messages": [system("Answer as a pirate."), user(), assistant()]},
            'messages: a system prompt that says more than who answers, and would be lost: "Answer as a pirate."',
        ),
        (
            {"messages": [system("You are a helpful assistant. Always answer in JSON."), user(), assistant()]},
            "messages: a system prompt that says more than who answers",
        ),
        (
            {"conversations": [human(), gpt()], "system": "患者资料：男，70岁，肌酐清除率20ml/min。"},
            "conversations: a system prompt that says more than who answers",
        ),
        (
            {"messages": [user([{"type": "image"}, {"type": "text", "text": QUESTION}]), assistant()]},
            "messages: a message of 2 parts (image, text); one text is read",
        ),
        ({"messages": [user(f"<image>{QUESTION}"), assistant()]}, "messages: a picture, a film or a sound belongs"),
        (
            {"conversations": [human(), gpt()], "images": ["a.png"]},
            "conversations: a picture, a film or a sound belongs to the question",
        ),
        ({"messages": [user(), assistant(ANSWER)]}, "messages: no reasoning: neither <think>...</think> at the start"),
        (
            {"messages": [user(), assistant(f"<think>\n\n</think>\n\n{ANSWER}")]},
            "messages: no reasoning: neither <think>...</think> at the start",
        ),
        ({"messages": [user(), assistant(f"<think>{REASONING}")]}, "messages: not one <think>...</think> at the start"),
        (
            {"messages": [user(), assistant(f"好的。<think>{REASONING}</think>{ANSWER}")]},
            "messages: not one <think>...</think> at the start of the answer",
        ),
        (
            {"messages": [user(), assistant(THOUGHT, reasoning_content="另一个思路。")]},
            "messages: one reasoning in <think>...</think> and another in reasoning_content",
        ),
        ({"messages": [user(), assistant(f"<think>{REASONING}</think>\n")]}, "messages: what follows the reasoning is"),
        ({"messages": [user(" "), assistant()]}, "messages: the user's message is empty"),
        ({"messages": "[{'role': 'user'}]"}, "messages: str, not a list of messages"),
        ({"messages": [{"role": "narrator", "content": "q"}]}, 'messages: a message of "narrator"; known are user,'),
        ({"prompt": QUESTION, "completion": 5}, "prompt/completion: the answer is int, not text"),
    ],
)
def test_what_three_texts_cannot_hold_is_refused_by_name(tmp_path: Path, one: Any, said: str) -> None:
    """Staged after hiyouga/LlamaFactory issues 6878, 6926 and 7982: turns, tools and pictures in one form of data."""
    assert reason(tmp_path, one).startswith(said)


def test_a_file_of_a_form_without_reasoning_is_one_error_that_names_the_form(tmp_path: Path) -> None:
    """Staged after hiyouga/LlamaFactory issue 7577: the error speaks of a column that the data never had."""
    (tmp_path / "rows.jsonl").write_text(lines(*[{"messages": [user(), assistant(ANSWER)]}] * 3), encoding="utf-8")
    with pytest.raises(MedcotError) as raised:
        make_raw(workspace_over(tmp_path / "rows.jsonl", tmp_path / "data"))
    assert "rows.jsonl, line 1: messages: no reasoning:" in str(raised.value)
    assert "3 of 3 rows cannot be used. A readable record has the three fields, messages, conversations," in str(
        raised.value
    )
    assert "MEDCOT_SOURCE__FIELDS" not in str(raised.value)


def test_the_three_fields_come_before_every_form(tmp_path: Path) -> None:
    """Staged after field reports: a row that has both keeps its reasoning."""
    rows = read(tmp_path, record(1) | {"messages": [user("别的问题"), assistant()]})
    assert rows.rows.equals(read(tmp_path, record(1)).rows)
