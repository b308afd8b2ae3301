"""What lies among the further rows is read, or named with the reason."""

import gzip
import json
from pathlib import Path

import pytest
from dagster._core.test_utils import instance_for_test

from medcot_pipeline.corpus.sources.incoming import passed_over, row_files
from medcot_pipeline.corpus.sources.source import locate, read_rows
from medcot_pipeline.orchestration.automation.triggers import FILE_SENSOR
from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.corpus_chain import (
    lines,
    make_raw,
    record,
    rejects_of,
    rows_of,
    texts,
    workspace_over,
)
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.source_files import write
from medcot_pipeline_tests.support.ticks import skipped, tick

UNKNOWN = "unknown format; known: .json, .jsonl, .ndjson, .csv or .parquet, each also with .gz behind it"


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "incoming" / "rows"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_a_source_packed_with_gzip_is_read_in_every_format(tmp_path: Path, suffix: str) -> None:
    """Staged after huggingface/datasets issue 5088: a packed file gives no rows."""
    plain = write(tmp_path / f"rows{suffix}", [record(1), record(2)])
    packed = tmp_path / f"june{suffix}.GZ"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert locate(SourceSettings(kind="file", path=packed), tmp_path) == packed
    assert read_rows(packed, SourceSettings()).rows.equals(read_rows(plain, SourceSettings()).rows)


def test_ndjson_is_a_row_per_line(tmp_path: Path) -> None:
    """Staged after huggingface/datasets issue 7153."""
    (tmp_path / "rows.ndjson").write_text(lines(record(1), record(2)), encoding="utf-8")
    path = locate(SourceSettings(kind="file", path=Path("rows.ndjson")), tmp_path)
    assert read_rows(path, SourceSettings()).rows.height == 2


def test_packed_and_ndjson_files_are_further_rows(tmp_path: Path, incoming: Path) -> None:
    """Staged after huggingface/datasets issues 5088 and 7153."""
    (tmp_path / "rows.jsonl").write_text(lines(record(1)), encoding="utf-8")
    (incoming / "june.jsonl.gz").write_bytes(gzip.compress(lines(record(2)).encode()))
    (incoming / "may.ndjson").write_text(lines(record(3)), encoding="utf-8")
    assert rows_of(make_raw(workspace_over(tmp_path / "rows.jsonl", tmp_path / "data"))) == [
        texts(1),
        texts(2),
        texts(3),
    ]


def test_what_is_not_read_is_named_with_the_reason(tmp_path: Path, incoming: Path) -> None:
    """Staged after field reports: `.json.txt` from a browser, a folder that was unpacked there."""
    (incoming / "good.jsonl").write_text(lines(record(1)), encoding="utf-8")
    (incoming / "june.json.txt").write_text("[]", encoding="utf-8")
    (incoming / "sheet\n.xlsx").write_bytes(b"PK")
    (incoming / "2026").mkdir()
    (incoming / "gone.jsonl").symlink_to(incoming / "nowhere")
    (incoming / ".june.jsonl.part").write_text("", encoding="utf-8")
    assert [path.name for path in row_files(SourceSettings(), tmp_path / "data")] == ["good.jsonl"]
    assert passed_over(SourceSettings(), tmp_path / "data") == [
        "passed over: 2026 (a folder: only files beside it are read)",
        "passed over: gone.jsonl (no regular file)",
        f"passed over: june.json.txt ({UNKNOWN})",
        f"passed over: sheet\\n.xlsx ({UNKNOWN})",
    ]


def test_many_things_that_are_not_read_are_counted(tmp_path: Path, incoming: Path) -> None:
    """Staged after field reports."""
    for number in range(13):
        (incoming / f"{number:02}.txt").write_text("", encoding="utf-8")
    told = passed_over(SourceSettings(), tmp_path / "data")
    assert (len(told), told[-1]) == (11, "passed over: 3 more")


def test_plan_status_and_log_name_what_is_not_read(fresh_home: Home) -> None:
    """Staged after field reports: the file lies there for weeks, and every command says that all is well."""
    folder = fresh_home.data / "incoming" / "rows"
    folder.mkdir(parents=True)
    (folder / "june.json.txt").write_text("[]", encoding="utf-8")
    raw = ("sync", "--only", "raw_medical_o1")
    for command in (("plan",), ("status",), raw, raw):  # the second time it is fresh
        done = fresh_home.run("medcot", *command)
        assert f"passed over: june.json.txt ({UNKNOWN})" in done.stdout + done.stderr, command


def test_the_sensor_that_takes_nothing_says_what_it_passed_over(tmp_path: Path, incoming: Path) -> None:
    """Staged after field reports."""
    (tmp_path / "rows.jsonl").write_text(lines(record(1)), encoding="utf-8")
    workspace = workspace_over(tmp_path / "rows.jsonl", tmp_path / "data")
    make_raw(workspace)
    (incoming / "june.json.txt").write_text("[]", encoding="utf-8")
    with instance_for_test() as instance:
        said = skipped(tick(FILE_SENSOR, instance, workspace))
    assert said == f"No new file of rows or of review verdicts. passed over: june.json.txt ({UNKNOWN})."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lines(record(1)).encode(), "cannot be unpacked (Not a gzipped file (b'{\"')). Compress or copy it again."),
        (gzip.compress(lines(record(1)).encode())[:-9], "cannot be unpacked (Compressed file ended before the"),
        (gzip.compress(bytes(64 * 2**20 + 1)), "unpacks to more than 67,108,864 bytes from"),
    ],
    ids=["not packed", "cut", "bomb"],
)
def test_a_packed_file_that_is_none_is_cut_or_too_large_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """Staged after field reports: an interrupted copy, and a file that fills the memory."""
    (tmp_path / "rows.jsonl.gz").write_bytes(content)
    with pytest.raises(MedcotError) as raised:
        read_rows(tmp_path / "rows.jsonl.gz", SourceSettings())
    assert str(raised.value).startswith(f"{tmp_path}/rows.jsonl.gz: {said}")
    assert "\n" not in str(raised.value)


MAPPED = {"question": "q", "reasoning": "cot", "answer": "a"}


def renamed(number: int) -> dict[str, str]:
    return dict(zip(MAPPED.values(), texts(number), strict=True))


def test_a_further_file_with_the_data_sets_own_names_is_read_beside_a_source_of_other_names(
    tmp_path: Path, incoming: Path
) -> None:
    """Staged after hiyouga/LlamaFactory issue 40: files whose column names do not match."""
    (tmp_path / "rows.jsonl").write_text(lines(renamed(1)), encoding="utf-8")
    (incoming / "published.jsonl").write_text(lines(record(2)), encoding="utf-8")
    (incoming / "same.jsonl").write_text(lines(renamed(3)), encoding="utf-8")
    workspace = workspace_over(tmp_path / "rows.jsonl", tmp_path / "data", fields=MAPPED)
    assert rows_of(make_raw(workspace)) == [texts(1), texts(2), texts(3)]


def test_the_names_of_a_further_file_are_those_of_the_whole_file(tmp_path: Path, incoming: Path) -> None:
    """Staged after field reports: a row without the mapped field must not fall back to another reasoning."""
    own = {"question": "Question", "reasoning": "cot", "answer": "Response"}
    (tmp_path / "rows.jsonl").write_text(lines(*[record(1) | {"cot": "第一稿。"}] * 2), encoding="utf-8")
    (incoming / "june.jsonl").write_text(lines(record(2) | {"cot": "第二稿。"}, record(3)), encoding="utf-8")
    workspace = workspace_over(tmp_path / "rows.jsonl", tmp_path / "data", fields=own, max_reject_rate=0.5)
    artifact = make_raw(workspace)
    assert [reasoning for _, reasoning, _ in rows_of(artifact)] == ["第一稿。", "第一稿。", "第二稿。"]
    assert rejects_of(artifact) == [
        ("june.jsonl, line 2", 'no field "cot" (fields: Question, Complex_CoT, Response); rename it to cot')
    ]


def test_a_further_file_of_names_that_nobody_knows_is_named_with_the_way_out(tmp_path: Path, incoming: Path) -> None:
    """Staged after hiyouga/LlamaFactory issue 1312."""
    (tmp_path / "rows.jsonl").write_text(lines(record(1)), encoding="utf-8")
    (incoming / "june.jsonl").write_text(lines({"text": "问与答", "meta": 1}), encoding="utf-8")
    workspace = workspace_over(tmp_path / "rows.jsonl", tmp_path / "data", max_reject_rate=1.0)
    with pytest.raises(MedcotError) as raised:
        make_raw(workspace)
    assert (
        'june.jsonl, line 1: no field "Question" (fields: text, meta); rename it to Question. '
        "1 of 1 rows cannot be used. A readable record has the three fields, messages," in str(raised.value)
    )


def test_the_form_that_each_file_was_read_as_is_written_down(tmp_path: Path, incoming: Path) -> None:
    """Staged after field reports."""
    (tmp_path / "rows.jsonl").write_text(lines(record(1)), encoding="utf-8")
    question, reasoning, answer = texts(2)
    pair = {"prompt": question, "completion": f"<think>{reasoning}</think>{answer}"}
    (incoming / "june.jsonl").write_text(lines(record(3), pair), encoding="utf-8")
    artifact = make_raw(workspace_over(tmp_path / "rows.jsonl", tmp_path / "data"))
    files = json.loads((artifact / "source.json").read_text(encoding="utf-8"))["files"]
    assert [file["read_as"] for file in files] == ["fields", "fields, prompt/completion"]
