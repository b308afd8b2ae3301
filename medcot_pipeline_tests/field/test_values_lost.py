"""A record that can only be read by losing a value is a reject with its place; a header like that is an error."""

import csv
import json
from pathlib import Path

import pytest

from medcot_pipeline.corpus.sources.source import SourceRows, read_rows
from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.corpus_chain import lines, record, texts
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only

HEADER = "Question,Complex_CoT,Response\n"


def read(path: Path, content: str) -> SourceRows:
    path.write_text(content, encoding="utf-8", newline="")
    return read_rows(path, SourceSettings())


def said(rows: SourceRows) -> list[tuple[str, str]]:
    return [(reject.where, reject.reason) for reject in rows.rejects]


def questions(rows: SourceRows) -> list[str]:
    return rows.rows["question"].to_list()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("q2,first this, then that,a2", "4 cells under 3 columns: a field with a comma in it is put in quotes"),
        ("q2,c2", "2 cells under 3 columns"),
    ],
)
def test_a_row_of_another_number_of_cells_than_columns_is_rejected(tmp_path: Path, row: str, reason: str) -> None:
    """Staged after pandas-dev/pandas issue 40333: cells beyond the header's are dropped without a word."""
    rows = read(tmp_path / "rows.csv", f"{HEADER}q1,c1,a1\n{row}\nq3,c3,a3\n")
    assert said(rows) == [("line 3", reason)]
    assert json.loads(rows.rejects[0].row) == row.split(",")
    assert questions(rows) == ["q1", "q3"]


def test_a_value_under_a_column_without_a_name_is_not_dropped(tmp_path: Path) -> None:
    """Staged after pandas-dev/pandas issue 15203, where the comma at the end of the header hides what was moved."""
    rows = read(tmp_path / "rows.csv", "Question,Complex_CoT,Response,\nq1,c1,a1,\nq2,first this, then that,a2\n")
    assert said(rows) == [("line 3", "a value under a column without a name")]
    assert questions(rows) == ["q1"]


def test_the_index_that_pandas_writes_in_front_is_no_value(tmp_path: Path) -> None:
    """Staged after field reports."""
    rows = read(tmp_path / "rows.csv", f",{HEADER}0,q1,c1,a1\n1,q2,c2,a2\n")
    assert (questions(rows), said(rows)) == (["q1", "q2"], [])


def test_a_header_that_names_a_column_twice_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Staged after pandas-dev/pandas issue 9424: the last of two columns of one name takes the place of both."""
    with pytest.raises(MedcotError) as raised:
        read(tmp_path / "rows.csv", "Question,Response,Complex_CoT,Response\nq,draft,c,a\n")
    assert str(raised.value) == (
        f"{tmp_path}/rows.csv, line 1: the header names the column Response more than once. "
        "Rename or remove one of them."
    )


TWICE = '{"Question": "q", "Complex_CoT": "c", "Response": "draft", "Response": "a"}'


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("rows.jsonl", f"{lines(record(1))}{TWICE}\n", "line 2"),
        ("rows.json", f"[{lines(record(1))}, {TWICE}]", "row 2"),
    ],
)
def test_an_object_that_names_a_field_twice_is_rejected(tmp_path: Path, name: str, content: str, where: str) -> None:
    """Staged after ajschumacher/mergic issue 38: the last of two values wins, and nobody is told."""
    rows = read(tmp_path / name, content)
    assert said(rows) == [(where, 'the field "Response" stands in it more than once')]
    assert "draft" in rows.rejects[0].row
    assert questions(rows) == [texts(1)[0]]


def test_a_message_that_names_its_content_twice_is_rejected(tmp_path: Path) -> None:
    """Staged after ajschumacher/mergic issue 38, one level deeper."""
    message = '{"role": "assistant", "content": "<think>c</think>draft", "content": "<think>c</think>a"}'
    rows = read(tmp_path / "rows.jsonl", f'{{"messages": [{{"role": "user", "content": "q"}}, {message}]}}\n')
    assert said(rows) == [("line 1", 'the field "content" stands in it more than once')]


@pytest.mark.parametrize(
    "joined",
    [
        'q2,"never" was said,a2\nq3,c3,a3\n',
        'q2,"c2 begins,a2\nq3,c3 ends",a3\n',
        'q2,"c2 begins,a2\nq3,c3,a3\nq4,c4 ends",a4\n',
        'q2,c2,"a2 begins\nq3,c3,a3\nq4,c4,a4 ends"\n',
        '"q2 begins,c2,a2\r\nq3 ends",c3,a3\n',
    ],
)
def test_rows_that_a_stray_quotation_mark_joins_are_not_read_as_one(tmp_path: Path, joined: str) -> None:
    """Staged after melihbirim/csvql issue 94 and pola-rs/polars issue 15022: rows are merged and lost."""
    path = tmp_path / "rows.csv"
    try:
        rows = read(path, f"{HEADER}q1,c1,a1\n{joined}q9,c9,a9\n")
    except MedcotError as error:
        assert str(error).startswith(f"{path}: not CSV (")
        assert "the row that begins at line 3" in str(error)
        return
    ((where, reason),) = said(rows)
    assert where == "line 3"
    assert reason.startswith("each of its lines is a row of 3 cells, and a stray quotation mark")
    assert questions(rows) == ["q1", "q9"]


def test_a_quotation_mark_within_a_field_without_quotes_joins_nothing(tmp_path: Path) -> None:
    """Staged after melihbirim/csvql issue 94."""
    rows = read(tmp_path / "rows.csv", f'{HEADER}q1,a 5" tube,a1\nq2,a 6" tube,a2\n')
    assert rows.rows["reasoning"].to_list() == ['a 5" tube', 'a 6" tube']


@genuine_rows_only
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("name", ["medical_o1_zh.json", "medical_o1_en.json"])
def test_no_genuine_row_in_a_csv_is_taken_for_several(tmp_path: Path, name: str, quoting: int) -> None:
    """Staged after field reports: reasoning of many lines, with commas, is what this data is made of."""
    records = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), quoting=quoting)  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(records)
    rows = read_rows(tmp_path / "rows.csv", SourceSettings())
    assert said(rows) == []
    assert rows.rows.equals(read_rows(FOLDER / name, SourceSettings()).rows)


@pytest.mark.parametrize(
    ("filled", "cut"), [("长" * 32_767, True), ("😷" * 16_383 + "x", True), ("长" * 32_766, False)]
)
def test_a_text_that_fills_a_cell_of_excel_was_cut(tmp_path: Path, filled: str, cut: bool) -> None:
    """Staged after dbeaver/dbeaver issue 11106: what goes beyond 32,767 characters is cut on the way through Excel."""
    rows = read(tmp_path / "rows.csv", f"{HEADER}q,{filled},a\n")
    reason = 'field "Complex_CoT" has exactly 32,767 characters, the most that Excel keeps: its end was cut off'
    assert said(rows) == ([("line 2", reason)] if cut else [])
