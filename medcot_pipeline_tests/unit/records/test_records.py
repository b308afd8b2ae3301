import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt, read_prompts
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.table_files import read_jsonl, write_jsonl

FIRST = {"id": "zh-1", "language": "zh", "category": "用药", "prompt": "发热时怎么用药？"}
SECOND = {"id": "en-1", "language": "en", "category": "triage", "prompt": "What is a red flag?", "emergency": True}
LINES = "发热\u2028第二行\u2029第三行\u0085第四行\x1c\n第五行\r\n"


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "prompts.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def complaint(path: Path) -> str:
    with pytest.raises(MedcotError) as raised:
        read_prompts(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_prompts_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    assert read_prompts(write(tmp_path, SECOND, "", FIRST)) == [
        Prompt("en-1", "en", "triage", "What is a red flag?", emergency=True),
        Prompt("zh-1", "zh", "用药", "发热时怎么用药？"),
    ]


def test_constraints_of_a_prompt_are_read(tmp_path: Path) -> None:
    rule = {"kind": "max_chars", "value": 200}
    assert read_prompts(write(tmp_path, {**FIRST, "constraints": [rule]}))[0].constraints == (rule,)


def test_a_limit_takes_prompts_from_the_top(tmp_path: Path) -> None:
    assert [prompt.id for prompt in read_prompts(write(tmp_path, FIRST, SECOND), limit=1)] == ["zh-1"]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, FIRST)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_prompts(path)) == 1


def test_a_missing_file_of_prompts_is_named_with_its_variable(tmp_path: Path) -> None:
    said = complaint(tmp_path / "gone.jsonl")
    assert said == ": no such file of prompts. Set MEDCOT_ANSWERS__PROMPTS to a JSONL file."


def test_a_file_without_a_prompt_is_refused(tmp_path: Path) -> None:
    assert complaint(write(tmp_path, "", " ")).startswith(": no prompt in it.")


def test_an_identifier_that_stands_twice_is_named_with_its_line(tmp_path: Path) -> None:
    said = complaint(write(tmp_path, FIRST, SECOND, FIRST))
    assert said == ", line 3: the id zh-1 appears twice. Give it another id."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "not a prompt (not JSON (Expecting property name enclosed in double quotes): {broken)."),
        ('{"id": "a", "id": "b"}', 'not a prompt (the field "id" stands in it more than once).'),
        ([], "not a prompt ("),
        (5, "not a prompt ("),
        ({"id": "zh-2"}, "not a prompt (Prompt.__init__() missing 3 required positional arguments: "),
        ({**FIRST, "promt": ""}, "not a prompt (Prompt.__init__() got an unexpected keyword argument 'promt'"),
        ({**FIRST, "constraints": None}, "not a prompt ("),
        (json.dumps({**FIRST, "prompt": "\ud83d"}), "not a prompt ('utf-8' codec can't encode character"),
        (json.dumps({**FIRST, "constraints": ["\ud83d"]}), "not a prompt ('utf-8' codec can't encode character"),
        ('{"id":' * 100_000, "not a prompt ("),
        ({**FIRST, "id": 7}, 'field "id" is 7, not text.'),
        ({**FIRST, "prompt": None}, 'field "prompt" is None, not text.'),
        ({**FIRST, "prompt": " "}, "field \"prompt\" is ' ', not text."),
    ],
)
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, line: Any, said: str) -> None:
    assert complaint(write(tmp_path, SECOND, line)).startswith(f", line 2: {said}")


def test_prompts_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes("发热".encode("gb18030"))
    assert complaint(path) == ", line 1: not UTF-8 (byte 0xb7 at offset 0). Save the file as UTF-8."


@pytest.mark.parametrize(
    "records",
    [
        [Verdict("zh-1", "tuned", LINES), Verdict("en-1", "tie")],
        [Answer("zh-1", "base", LINES, "", closed=False, finished=True, tokens=5)],
        [],
    ],
)
def test_records_read_back_as_they_were_written(tmp_path: Path, records: list[Any]) -> None:
    write_jsonl(tmp_path / "records.jsonl", records)
    kind = type(records[0]) if records else Verdict
    assert read_jsonl(tmp_path / "records.jsonl", kind) == records


def test_a_separator_of_lines_within_a_prompt_is_text(tmp_path: Path) -> None:
    assert read_prompts(write(tmp_path, {**FIRST, "prompt": LINES}))[0].prompt == LINES
