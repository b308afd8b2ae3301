import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.sources.source import SourceRows, locate, read_rows
from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.row_files import KNOWN_FORMATS
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.source_files import FIELDS, RECORDS, ROW, write


def read(path: Path, **settings: Any) -> SourceRows:
    return read_rows(path, SourceSettings(**settings))


def texts(rows: SourceRows) -> list[tuple[Any, ...]]:
    return rows.rows.select("question", "reasoning", "answer").rows()


def reasons(rows: SourceRows) -> list[tuple[str, str]]:
    return [(reject.where, reject.reason) for reject in rows.rejects]


def complaint(path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MedcotError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_every_format_gives_the_rows_exactly_as_they_are(tmp_path: Path, suffix: str) -> None:
    rows = read(write(tmp_path / f"rows{suffix}", RECORDS))
    assert texts(rows) == [tuple(record.values()) for record in RECORDS]
    assert rows.rejects == []


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_format_gives_the_same_row_ids(tmp_path: Path, suffix: str) -> None:
    as_json, other = (read(write(tmp_path / f"rows{each}", RECORDS)) for each in (".json", suffix))
    assert other.rows.equals(as_json.rows)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}", RECORDS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(texts(read(path))) == 3


def test_a_suffix_in_capitals_is_the_same_format(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", RECORDS).rename(tmp_path / "ROWS.JSON")
    assert len(texts(read(path))) == 3


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_quotes_in_a_csv_hold_newlines_commas_and_quotes(tmp_path: Path, newline: str) -> None:
    lines = ["Question,Complex_CoT,Response", '"第一行', '第二行，""引号""",想,答', "q,c,a"]
    (tmp_path / "rows.csv").write_bytes(newline.join(lines).encode())
    assert texts(read(tmp_path / "rows.csv")) == [(f'第一行{newline}第二行，"引号"', "想", "答"), ("q", "c", "a")]


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x1c", "\u0085"])
def test_only_a_newline_ends_a_row_of_a_csv(tmp_path: Path, separator: str) -> None:
    (tmp_path / "rows.csv").write_text(f"Question,Complex_CoT,Response\na{separator}b,c,d\n", encoding="utf-8")
    assert texts(read(tmp_path / "rows.csv")) == [(f"a{separator}b", "c", "d")]


def test_a_long_field_of_a_csv_is_read(tmp_path: Path) -> None:
    record = {**ROW, "Complex_CoT": "长" * 200_000}
    assert texts(read(write(tmp_path / "rows.csv", [record])))[0][1] == record["Complex_CoT"]


def test_fields_are_mapped_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", [{"q": "问", "cot": "想", "a": "答", "more": 1}])
    assert texts(read(path, fields={"question": "q", "reasoning": "cot", "answer": "a"})) == [("问", "想", "答")]


def test_no_more_rows_than_asked_for_are_read(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path / "rows.json", RECORDS), max_rows=2)) == [
        tuple(record.values()) for record in RECORDS[:2]
    ]


def test_repeated_rows_have_ids_of_their_own(tmp_path: Path) -> None:
    ids = read(write(tmp_path / "rows.json", [ROW, RECORDS[1], ROW, ROW])).rows["row_id"].to_list()
    assert ids[2:] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    assert len(set(ids)) == 4


def test_row_ids_do_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = [read(write(tmp_path / "rows.json", records)).rows for records in (RECORDS, RECORDS[::-1])]
    assert rows[0].sort("row_id").equals(rows[1].sort("row_id"))


def test_text_that_moves_to_the_next_field_is_another_row(tmp_path: Path) -> None:
    moved = [dict(zip(FIELDS, texts, strict=True)) for texts in [("ab", "c", "d"), ("a", "bc", "d")]]
    assert read(write(tmp_path / "rows.json", moved)).rows["row_id"].n_unique() == 2


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"Question": "问", "cot": "想", "Response": "答"},
            'no field "Complex_CoT" (fields: Question, cot, Response); '
            "map it with MEDCOT_SOURCE__FIELDS__REASONING=...",
        ),
        ({**ROW, "Response": " \n\u3000"}, 'field "Response" is empty'),
        ({**ROW, "Question": 5}, 'field "Question" is int, not text'),
        ({**ROW, "Question": None}, 'field "Question" is NoneType, not text'),
        ({**ROW, "Response": ["答"]}, 'field "Response" is list, not text'),
        ("text", "not an object but str"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_place_and_reason(
    tmp_path: Path, suffix: str, record: Any, reason: str
) -> None:
    rows = read(write(tmp_path / f"rows{suffix}", [ROW, record, RECORDS[1]]))
    assert reasons(rows) == [("line 2" if suffix == ".jsonl" else "row 2", reason)]
    assert rows.rows.height == 2


@pytest.mark.parametrize(
    ("suffix", "record", "reason"),
    [
        (".csv", {**ROW, "Response": ""}, 'field "Response" is empty'),
        (".parquet", {**ROW, "Response": None}, 'field "Response" is NoneType, not text'),
    ],
)
def test_a_table_s_row_that_cannot_be_used_is_rejected(
    tmp_path: Path, suffix: str, record: dict[str, Any], reason: str
) -> None:
    rows = read(write(tmp_path / f"rows{suffix}", [RECORDS[1], record]))
    assert [reject.reason for reject in rows.rejects] == [reason]


def test_a_short_row_of_a_csv_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("Question,Complex_CoT,Response\nq,c\n")
    assert reasons(read(tmp_path / "rows.csv")) == [("line 2", "2 cells under 3 columns")]


def test_half_a_surrogate_pair_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{**ROW, "Response": "好\ud83d"}]))
    ((_, reason),) = reasons(read(tmp_path / "rows.json"))
    assert reason == 'field "Response" holds an unpaired surrogate, which is no text'


def test_a_reject_with_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"\ud83d": "好\ud83d"}]))
    write_jsonl(tmp_path / "rejects.jsonl", read(tmp_path / "rows.json").rejects)
    assert "\\ud83d" in json.loads((tmp_path / "rejects.jsonl").read_text())["reason"]


def test_a_line_that_is_no_json_is_rejected_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [ROW])
    broken = '{"Question": "' + "断" * 300
    path.write_text(path.read_text("utf-8") + "\n" + broken + "\n" + path.read_text("utf-8"), "utf-8")
    rows = read(path)
    assert reasons(rows) == [("line 3", f"not JSON (Unterminated string starting at): {broken[:80]}")]
    assert rows.rejects[0].row == broken
    assert rows.rows.height == 2


@pytest.mark.parametrize("line", ["[" * 200_000, "9" * 5_000])
def test_a_line_that_no_parser_takes_is_rejected(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "rows.jsonl", [ROW])
    path.write_text(path.read_text("utf-8") + line, "utf-8")
    assert [reject.where for reject in read(path).rejects] == ["line 2"]


def test_a_missing_file_is_named_with_the_variable(tmp_path: Path) -> None:
    with pytest.raises(MedcotError) as raised:
        locate(SourceSettings(kind="file", path=Path("rows/gone.json")), tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}/rows/gone.json: no such file. Set MEDCOT_SOURCE__PATH to a file: {KNOWN_FORMATS}."
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match="no such file"):
        locate(SourceSettings(kind="file", path=tmp_path), tmp_path)


@pytest.mark.parametrize(("name", "shown"), [("rows.xlsx", ".xlsx"), ("rows", "without suffix")])
def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path, name: str, shown: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(MedcotError) as raised:
        locate(SourceSettings(kind="file", path=Path(name)), tmp_path)
    assert str(raised.value) == f"{tmp_path / name}: unknown format {shown}. Known: {KNOWN_FORMATS}."


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", RECORDS)
    assert locate(SourceSettings(kind="file", path=path), Path("/elsewhere")) == path


def test_an_object_is_no_array_of_rows(tmp_path: Path) -> None:
    said = complaint(tmp_path / "rows.json", json.dumps(ROW).encode())
    assert said == ": a .json file must be an array of rows, not dict."


def test_broken_json_is_named_by_its_line(tmp_path: Path) -> None:
    said = complaint(tmp_path / "rows.json", b'[\n{"Question": "a",\n"Response" "b"}]')
    assert said.startswith(", line 3: not JSON (Expecting ':' delimiter).")


def test_rows_by_line_in_a_json_file_are_told_the_right_suffix(tmp_path: Path) -> None:
    said = complaint(tmp_path / "rows.json", b'{"Question": "a"}\n{"Question": "b"}\n')
    assert said.endswith("name a file with a row per line .jsonl.")


def test_json_too_deep_to_read_is_one_line(tmp_path: Path) -> None:
    assert complaint(tmp_path / "rows.json", b"[" * 200_000).startswith(": JSON that cannot be read (")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_what_is_not_utf8_is_named_by_line_and_offset(tmp_path: Path, suffix: str, mark: bytes) -> None:
    before = mark + "[\n咳嗽".encode()
    said = complaint(tmp_path / f"rows{suffix}", before + "嗽".encode("gb18030"))
    assert said == f", line 2: not UTF-8 (byte 0xcb at offset {len(before)}). Save the file as UTF-8."


def test_an_open_quote_in_a_csv_is_named_by_the_line_of_its_row(tmp_path: Path) -> None:
    said = complaint(tmp_path / "rows.csv", b'Question,Complex_CoT,Response\na,b,c\n"d,e\nf,g\n')
    assert said.startswith(": not CSV (unexpected end of data) in the row that begins at line 3.")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_one_line(tmp_path: Path, content: bytes) -> None:
    assert complaint(tmp_path / "rows.parquet", content).startswith(": not a Parquet file (")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.json", b"[]"),
        ("rows.jsonl", b""),
        ("rows.jsonl", b"\n\n \n"),
        ("rows.csv", b""),
        ("rows.csv", b"Question,Complex_CoT,Response\n"),
    ],
)
def test_a_file_of_zero_rows_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert complaint(tmp_path / name, content) == ": no rows in it. Give a file with at least one row."


def test_a_table_of_zero_rows_is_refused(tmp_path: Path) -> None:
    pl.DataFrame(schema=dict.fromkeys(FIELDS, pl.String)).write_parquet(tmp_path / "rows.parquet")
    assert complaint(tmp_path / "rows.parquet").startswith(": no rows in it.")
