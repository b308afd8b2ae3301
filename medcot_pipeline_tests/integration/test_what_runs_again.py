"""What real passes make anew; the whole table of changes is in unit/pipeline/test_what_runs_again.py."""

import json
from pathlib import Path

import pytest

from medcot_pipeline.corpus.sources.source import SAMPLE
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.home import ROOT, Home

CORPUS = ["raw_medical_o1", "normalized_corpus", "deduplicated_corpus", "corpus_splits"]


def sync(home: Home, *arguments: str, **overrides: str) -> list[str]:
    """Assets that a sync of the corpus made anew, by its own words."""
    source = {"MEDCOT_SOURCE__KIND": "file", "MEDCOT_SOURCE__PATH": str(home.folder / "rows.json")}
    done = home.run("medcot", "sync", "--only", ",".join(CORPUS), *arguments, **(source | overrides))
    assert done.returncode == 0, done.stdout + done.stderr
    return [asset for asset in GRAPH.assets if f"{asset}: published in" in done.stderr]


def write_rows(home: Home, count: int, indent: int | None = None) -> None:
    rows = json.loads((ROOT / SAMPLE).read_text(encoding="utf-8"))[:count]
    (home.folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False, indent=indent), encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose corpus was made from 60 rows."""
    home = Home(tmp_path_factory.mktemp("corpus"))
    write_rows(home, 60)
    assert sync(home) == CORPUS
    return home


def test_a_new_row_runs_the_corpus_again_and_the_same_rows_written_otherwise_stop_there(home: Home) -> None:
    write_rows(home, 61)
    assert sync(home) == CORPUS
    write_rows(home, 61, indent=2)
    assert sync(home) == CORPUS[:2], "the file's hash is part of the raw rows; once normalised they are the same"
    assert sync(home) == []


def test_force_makes_one_asset_again_and_nothing_after_it_where_the_content_is_the_same(home: Home) -> None:
    before = {asset: home.current(asset) for asset in CORPUS}
    assert sync(home, "--force", "normalized_corpus") == ["normalized_corpus"]
    assert {asset: home.current(asset) for asset in CORPUS} == before


def test_a_dry_run_says_what_a_sync_would_look_at_and_makes_nothing(home: Home) -> None:
    before = sorted(home.data.rglob("*"))
    changed = {"MEDCOT_DEDUP__JACCARD": "0.7"}
    assert sync(home, "--dry-run", **changed) == []
    assert sorted(home.data.rglob("*")) == before


def test_a_log_of_json_names_run_asset_and_fingerprint_of_every_stage(home: Home) -> None:
    done = home.run("medcot", "sync", "--force", "raw_medical_o1", "--only", "raw_medical_o1", MEDCOT_LOG_FORMAT="json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (published,) = [line for line in lines if "published in" in line["message"]]
    assert published["level"] == "INFO"
    assert published["asset"] == "raw_medical_o1"
    assert published["fingerprint"] == home.current("raw_medical_o1").name
    assert len({line["run"] for line in lines}) == 1


def test_status_shows_what_is_current_and_prune_deletes_what_nobody_needs(home: Home) -> None:
    shown = home.run("medcot", "status").stdout
    assert all(f"  {asset:20} {home.current(asset).name[:12]}  made " in shown for asset in CORPUS)
    assert "\nGPU: free\n" in shown
    assert "\nRuns:\n  none\n" in shown
    kept = home.current("deduplicated_corpus")
    sync(home, MEDCOT_DEDUP__JACCARD="0.7")
    unneeded = home.current("deduplicated_corpus")
    assert sync(home) == []
    would = home.run("medcot", "prune").stdout
    assert f"would delete artifacts/deduplicated_corpus/{unneeded.name} (" in would
    assert unneeded.is_dir()
    done = home.run("medcot", "prune", "--yes").stdout
    assert done.startswith(would.splitlines()[0].replace("would delete", "deleted"))
    assert not unneeded.exists()
    assert home.current("deduplicated_corpus") == kept
    assert sync(home) == []
    assert home.run("medcot", "prune").stdout == "Nothing to delete.\n"


def damaged_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [damaged_byte, truncated, deleted])
def test_a_damaged_artifact_is_named_set_aside_made_again_and_never_used(home: Home, damage: object) -> None:
    assert callable(damage)
    folder = home.current("normalized_corpus")
    content = (folder / "rows.parquet").read_bytes()
    damage(folder / "rows.parquet")
    done = home.run(
        "medcot",
        "sync",
        "--only",
        ",".join(CORPUS),
        MEDCOT_SOURCE__KIND="file",
        MEDCOT_SOURCE__PATH=str(home.folder / "rows.json"),
    )
    assert done.returncode == 0, done.stderr
    problem = "is missing" if damage is deleted else "has changed since it was published"
    assert f"normalized_corpus {folder.name[:12]}: rows.parquet {problem}; it is set aside in " in done.stderr
    assert [asset for asset in CORPUS if f"{asset}: published in" in done.stderr] == ["normalized_corpus"]
    assert home.current("normalized_corpus") == folder
    assert (folder / "rows.parquet").read_bytes() == content
