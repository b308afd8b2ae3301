import json
from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.corpus.sources.incoming import followed, note_revision
from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings, SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.corpus_chain import make_raw

REPOSITORY, PINNED, NEWER = "someone/medical-rows", "1" * 40, "2" * 40
FOLLOWING = SourceSettings(kind="hub", repository=REPOSITORY, revision=PINNED, follow_hub=True)


def row(number: int) -> str:
    texts = {"Question": f"问题{number}：咳嗽怎么办？", "Complex_CoT": "先想想有没有发热。", "Response": "多休息。"}
    return json.dumps(texts, ensure_ascii=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rows in a file, and an empty folder of further rows."""
    (tmp_path / "rows.jsonl").write_text(f"{row(1)}\n{row(2)}\n", encoding="utf-8")
    (tmp_path / "data" / "incoming" / "rows").mkdir(parents=True)
    settings = Settings(source=SourceSettings(kind="file", path=Path("rows.jsonl")))
    return Workspace("own", settings, tmp_path, ArtifactStore(tmp_path / "data", tmp_path), GRAPH)


def bring(workspace: Workspace, name: str, *lines: str) -> None:
    (workspace.store.root / "incoming" / "rows" / name).write_text("\n".join(lines), encoding="utf-8")


def test_further_rows_stand_behind_those_of_the_source_in_the_order_of_their_files(workspace: Workspace) -> None:
    bring(workspace, "b.jsonl", row(4))
    bring(workspace, "a.jsonl", row(3))
    artifact = make_raw(workspace)
    questions = pl.read_parquet(artifact / "rows.parquet")["question"].to_list()
    assert [question[2] for question in questions] == ["1", "2", "3", "4"]
    assert [file["name"] for file in read_json(artifact / "source.json")["files"]] == [
        "rows.jsonl",
        "a.jsonl",
        "b.jsonl",
    ]


def test_a_row_that_comes_in_again_has_a_row_id_of_its_own(workspace: Workspace) -> None:
    bring(workspace, "again.jsonl", row(1))
    ids = pl.read_parquet(make_raw(workspace) / "rows.parquet")["row_id"].to_list()
    assert ids[2] == f"{ids[0]}-2"


def test_a_new_file_makes_the_raw_rows_stale_and_is_named(workspace: Workspace) -> None:
    make_raw(workspace)
    bring(workspace, "a.jsonl", row(3))
    line = make_plan(workspace)[0]
    assert (line.status, line.reasons) == ("stale", ("file incoming a.jsonl is new",))


def test_a_file_of_wrong_rows_is_not_hidden_by_the_many_rows_of_the_source(workspace: Workspace) -> None:
    (workspace.root / "rows.jsonl").write_text("\n".join(row(number) for number in range(100)), encoding="utf-8")
    bring(workspace, "a.jsonl", row(101), json.dumps({"Question": "没有回答"}, ensure_ascii=False))
    with pytest.raises(MedcotError, match=r'a.jsonl, line 2: no field "Complex_CoT".*1 of 2 rows cannot be used'):
        make_raw(workspace)


def test_the_limit_of_rows_is_that_of_the_source_alone(workspace: Workspace) -> None:
    bring(workspace, "a.jsonl", row(3), row(4))
    limited = workspace.settings.source.model_copy(update={"max_rows": 1})
    settings = workspace.settings.model_copy(update={"source": limited})
    artifact = make_raw(Workspace("own", settings, workspace.root, workspace.store, GRAPH))
    assert pl.read_parquet(artifact / "rows.parquet").height == 3


def test_the_revision_that_was_written_down_is_read_in_the_place_of_the_pinned_one(tmp_path: Path) -> None:
    assert followed(FOLLOWING, tmp_path).revision == PINNED
    note_revision(tmp_path, REPOSITORY, NEWER)
    assert followed(FOLLOWING, tmp_path).revision == NEWER
    assert followed(FOLLOWING.model_copy(update={"follow_hub": False}), tmp_path).revision == PINNED


def test_the_revision_of_another_data_set_is_not_taken(tmp_path: Path) -> None:
    note_revision(tmp_path, "someone/other-rows", NEWER)
    assert followed(FOLLOWING, tmp_path).revision == PINNED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no revision can be read from it"),
        ("[]", "no revision can be read from it"),
        ('{"repository": "someone/medical-rows", "revision": "main"}', "revision 'main' is not 40 hexadecimal digits"),
    ],
)
def test_a_revision_file_that_was_edited_wrongly_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    note_revision(tmp_path, REPOSITORY, NEWER)
    path = tmp_path / "incoming" / "revision.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MedcotError) as raised:
        followed(FOLLOWING, tmp_path)
    assert str(raised.value).startswith(f"{path}: {said}")
