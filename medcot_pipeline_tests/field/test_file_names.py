"""Names and kinds of files that people put into folders: each is read, passed over or refused in one line."""

import os
import subprocess
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.exams.files import exam_files
from medcot_pipeline.evaluation.people.review_file import LARGEST_REVIEW, review_files
from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.planning import change

workspace = planning.workspace
GBK = "病例.jsonl".encode("gbk")
SHOWN = "\\xb2\\xa1\\xc0\\xfd.json"


def put(folder: Path, name: bytes, text: str = "{}") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(text, encoding="utf-8")


def only_line(error: MedcotError) -> str:
    message = str(error)
    message.encode("utf-8")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("folder", "asset"),
    [
        ("data/incoming/rows", "raw_medical_o1"),
        ("exams", "corpus_splits"),
        ("exams/deeper", "corpus_splits"),
        ("exams", "tuned_exams"),
        ("data/reviews", "human_review"),
        ("model", "base_model"),
    ],
)
def test_a_name_that_is_not_utf_8_is_shown_in_one_line(workspace: Workspace, folder: str, asset: str) -> None:
    """Staged after run-llama/llama_index#10369 and arsenetar/dupeguru#335: surrogates not allowed."""
    asking = change(workspace, "exams", folder=Path("exams"))
    for name in (GBK, GBK.removesuffix(b"l")):
        put(workspace.root / folder, name)
    with pytest.raises(MedcotError) as raised:
        asking.external(GRAPH.stage(asset))
    assert only_line(raised.value).startswith(f"{workspace.root / folder}/{SHOWN}")
    assert ": its name is not UTF-8" in str(raised.value)


@pytest.mark.parametrize(
    "variable", ["MEDCOT_SOURCE__PATH", "MEDCOT_SPLITS__BENCHMARK_DIR", "MEDCOT_DATA_DIR", "DAGSTER_HOME"]
)
def test_a_setting_that_is_not_utf_8_is_one_line(fresh_home: Home, tmp_path: Path, variable: str) -> None:
    put(tmp_path, GBK, "[]")
    environment = {os.fsencode(name): os.fsencode(value) for name, value in fresh_home.environment().items()}
    environment[variable.encode()] = os.fsencode(tmp_path) + b"/" + GBK
    if variable == "MEDCOT_SOURCE__PATH":
        environment[b"MEDCOT_SOURCE__KIND"] = b"file"
    done = subprocess.run(["medcot", "init"], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.decode("utf-8").splitlines()
    assert line.startswith(f"medcot: Environment variable {variable} is not UTF-8 ({tmp_path}/{SHOWN}l).")


def test_what_macos_and_editors_leave_beside_a_file_is_passed_over(workspace: Workspace) -> None:
    """Staged after unslothai/unsloth#8919 and letta-ai/letta-code#3506: ._ files taken for data."""
    data = workspace.store.root
    for folder in (data / "reviews", data / "incoming" / "rows", workspace.root / "exams" / "__MACOSX"):
        put(folder, b"._x.json")
        put(folder, b"._x.jsonl")
    put(workspace.root / "exams" / ".git", b"a.jsonl")
    put(workspace.root / "exams", b"._exam.jsonl")
    read = GRAPH.stage("corpus_splits").files(workspace)
    assert [file.key for file in read] == ["benchmark exam.jsonl"]
    assert review_files(workspace.settings, data) == []
    asking = change(workspace, "exams", folder=Path("exams"))
    assert [path.name for path in exam_files(asking.settings, asking.root)] == ["exam.jsonl"]
    make_plan(workspace)


def test_what_is_no_file_is_passed_over_and_waited_for_by_nobody(workspace: Workspace) -> None:
    data = workspace.store.root
    for folder in (data / "reviews", data / "incoming" / "rows", workspace.root / "exams"):
        folder.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / "pipe.json")
        os.mkfifo(folder / "pipe.jsonl")
        (folder / "folder.json").mkdir()
        (folder / "dead.jsonl").symlink_to("nowhere")
        (folder / "endless.jsonl").symlink_to("/dev/zero")
    assert review_files(workspace.settings, data) == []
    asking = change(workspace, "exams", folder=Path("exams"))
    assert [path.name for path in exam_files(asking.settings, asking.root)] == ["exam.jsonl"]
    make_plan(workspace)


def test_a_huge_file_among_the_verdicts_is_refused_by_name_and_not_read(workspace: Workspace) -> None:
    put(workspace.store.root / "reviews", b"huge.json")
    path = workspace.store.root / "reviews" / "huge.json"
    os.truncate(path, 2**40)
    with pytest.raises(MedcotError) as raised:
        review_files(workspace.settings, workspace.store.root)
    assert only_line(raised.value) == (
        f"{path}: 1,099,511,627,776 bytes, more than any review has ({LARGEST_REVIEW:,}). Move it away."
    )


def test_a_message_about_foreign_text_can_always_be_written() -> None:
    assert str(MedcotError("\udcb2\udca1.json: \ud83d.")) == "\\xb2\\xa1.json: \\ud83d."
