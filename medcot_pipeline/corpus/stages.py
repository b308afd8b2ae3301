"""Raw rows to splits.

Belongs here: the four stages of the corpus.
Does not belong here: reading formats, normalisation, deduplication or splitting (the folders beside this file).
"""

from typing import Any

import polars as pl

from medcot_pipeline.artifacts import FileLink, Table, sha256_file
from medcot_pipeline.corpus import checks
from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.corpus.overlap.benchmark_files import benchmark_files
from medcot_pipeline.corpus.overlap.screen import screen_overlap
from medcot_pipeline.corpus.sources.incoming import REVISION_FILE, followed, passed_over, row_files
from medcot_pipeline.corpus.sources.source import local_file, locate, read_source
from medcot_pipeline.corpus.splits.assign import assign_splits, moved_rows
from medcot_pipeline.corpus.splits.leaks import nearest_across_splits
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.corpus import SUMMARY
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.table_files import read_parquet, write_jsonl

SOURCE_FILE = "source file"
HUB_REVISION = "hub revision"
INCOMING = "incoming"
BENCHMARK = "benchmark"
"""Kinds of files from outside."""


def raw_medical_o1(run: Run) -> None:
    """The source rows, exactly as they were read, with a record of where they came from."""
    data = run.place.data
    settings = followed(run.settings.source, data)
    for line in passed_over(settings, data):
        run.say(line)
    path, further = locate(settings, run.root), row_files(settings, data)
    parts = read_source(path, further, settings)
    rows = pl.concat(part.rows for part in parts)
    rejects = [reject for part in parts for reject in part.rejects]
    rows.write_parquet(run.path / "rows.parquet")
    write_jsonl(run.path / "rejects.jsonl", rejects)
    source: dict[str, Any] = {
        "kind": settings.kind,
        "sha256": sha256_file(path),
        "revision": settings.revision if settings.kind == "hub" else "",
        "location": path.name,
        "rows_read": rows.height + len(rejects),
        "files": [
            {
                "name": file.name,
                "rows": part.rows.height,
                "rejects": len(part.rejects),
                "read_as": ", ".join(part.forms),
            }
            for file, part in zip([path, *further], parts, strict=True)
        ],
        "max_reject_rate": settings.max_reject_rate,
    }
    write_json(run.path / "source.json", source)
    funnel = [("rows read", source["rows_read"]), ("usable rows", rows.height)]
    summarise(run, None, {"source": source}, funnel)
    run.describe(
        rejected=len(rejects),
        rejects=FileLink("rejects.jsonl"),
        source_sha256=source["sha256"],
        revision=source["revision"],
        files=Table(source["files"]),
    )
    show_rows(run, rows)


def normalized_corpus(run: Run) -> None:
    """The rows with their text normalised for training, a key for comparing them, and flags for defects."""
    rows = read_parquet(run.input("raw_medical_o1") / "rows.parquet")
    normalized = normalize_rows(rows, run.settings.normalize, run.progress("normalising"))
    normalized.rows.write_parquet(run.path / "rows.parquet")
    normalized.removed.write_parquet(run.path / "removed.parquet")
    funnel = [("after normalisation", normalized.rows.height)]
    summarise(run, "raw_medical_o1", {"rules": normalized.rules}, funnel)
    run.describe(
        rules=Table([rule for rule in normalized.rules if rule["rows"]]),
        removed=Table(normalized.removed.head(10).to_dicts()),
        removed_count=normalized.removed.height,
        removed_rows=FileLink("removed.parquet"),
    )
    show_rows(run, normalized.rows)


def deduplicated_corpus(run: Run) -> None:
    """The rows without exact and near duplicates. Rows that still resemble each other share a group."""
    rows = read_parquet(run.input("normalized_corpus") / "rows.parquet")
    outcome = find_near_duplicates(rows, run.settings.dedup, run.progress("looking for duplicates"))
    outcome.kept.write_parquet(run.path / "rows.parquet")
    outcome.removed.write_parquet(run.path / "removed.parquet")
    outcome.pairs_to_show.write_parquet(run.path / "review.parquet")
    write_json(run.path / "settings.json", run.settings.dedup.model_dump(mode="json"))
    summarise(run, "normalized_corpus", {"dedup": outcome.made_with}, [("after deduplication", outcome.kept.height)])
    run.describe(
        removed=Table(outcome.examples(10)),
        removed_count=outcome.removed.height,
        removed_rows=FileLink("removed.parquet"),
        review_pairs=FileLink("review.parquet"),
        steps=Table(outcome.funnel),
        groups=outcome.kept["group_id"].n_unique(),
    )
    show_rows(run, outcome.kept)


def corpus_splits(run: Run) -> None:
    """The rows in train, validation and test splits; a group stays in one split. Overlap with benchmarks is listed."""
    settings = run.settings.splits
    upstream = run.input("deduplicated_corpus")
    rows = assign_splits(read_parquet(upstream / "rows.parquet"), settings)
    overlap = []
    if settings.benchmark_dir is not None:
        found = screen_overlap(
            rows,
            run.root / settings.benchmark_dir,
            settings.benchmark_question_field,
            settings.benchmark_fields,
        )
        if settings.drop_confirmed_from_train:
            rows = exclude_confirmed(rows, found.hits)
        found.hits.write_parquet(run.path / "overlap.parquet")
        overlap = found.summary.to_dicts()
    nearest = nearest_across_splits(rows).to_dicts()
    rows.write_parquet(run.path / "rows.parquet")
    write_json(run.path / "dedup_settings.json", read_json(upstream / "settings.json"))
    counts = dict(rows.group_by("split").len().sort("split").iter_rows())
    summarise(
        run,
        "deduplicated_corpus",
        {"overlap": overlap, "nearest": nearest},
        [(f"{name} split", counts.get(name, 0)) for name in ("train", "validation", "test")],
    )
    moved = moved_since_last_pass(run.place, rows)
    run.describe(
        nearest_across_splits=Table(nearest),
        moved_rows=moved.height,
        moved=Table(moved.head(20).to_dicts()),
        benchmark_overlap=Table(overlap),
        **{f"{name}_rows": count for name, count in counts.items()},
    )
    show_rows(run, rows)


def moved_since_last_pass(place: Place, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that lie in another split than in the artifact that was current until now."""
    previous = place.data / "current" / "corpus_splits" / "rows.parquet"
    return moved_rows(read_parquet(previous) if previous.is_file() else rows, rows)


def exclude_confirmed(rows: pl.DataFrame, hits: pl.DataFrame) -> pl.DataFrame:
    """Training rows that a benchmark was confirmed to hold get the split `excluded`."""
    confirmed = hits.filter(verdict="confirmed")["row_id"].implode()
    leaves = (pl.col("split") == "train") & pl.col("row_id").is_in(confirmed)
    return rows.with_columns(split=pl.when(leaves).then(pl.lit("excluded")).otherwise("split"))


def summarise(run: Run, upstream: str | None, section: dict[str, Any], funnel: list[tuple[str, int]]) -> None:
    """Carry the corpus's history on: what happened up to here, and how many rows were left after each step."""
    history = read_json(run.input(upstream) / SUMMARY) if upstream else {"funnel": []}
    history |= section
    history["funnel"] = [*history["funnel"], *({"step": step, "rows": rows} for step, rows in funnel)]
    write_json(run.aside("summary.json"), history)
    run.describe(funnel=Table(history["funnel"]))
    charts.bars(
        run.picture("funnel_chart"),
        "Rows after each step",
        {str(entry["step"]): float(entry["rows"]) for entry in history["funnel"]},
        y_label="rows",
    )


def show_rows(run: Run, rows: pl.DataFrame) -> None:
    """A preview and the lengths of the three fields."""
    fields = ("question", "reasoning", "answer")
    preview = rows.head(5).select("row_id", *(pl.col(name).str.slice(0, 160) for name in fields))
    charts.histogram(
        run.picture("lengths"),
        "Lengths of the fields",
        {name: rows[name].str.len_chars().to_list() for name in fields},
        x_label="characters",
    )
    run.describe(rows=rows.height, preview=Table(preview.to_dicts()), rows_file=FileLink("rows.parquet"))


def source_files(place: Place) -> list[OutsideFile]:
    """The file of rows, or the revision that is followed; and the files of further rows."""
    source, data = place.settings.source, place.data
    further = [OutsideFile(INCOMING, path, path.name) for path in row_files(source, data)]
    if source.kind != "hub":
        return [OutsideFile(SOURCE_FILE, local_file(source, place.root)), *further]
    return [*([OutsideFile(HUB_REVISION, data / REVISION_FILE)] if source.follow_hub else []), *further]


def benchmarks(place: Place) -> list[OutsideFile]:
    """The benchmarks that the rows are screened against."""
    folder = place.settings.splits.benchmark_dir
    if folder is None:
        return []
    found = benchmark_files(place.root / folder)
    return [OutsideFile(BENCHMARK, path, name) for name, path in found.items()]


STAGES = (
    Stage(
        "raw_medical_o1",
        group="corpus",
        kinds=("python", "polars"),
        code_version="3",
        make=raw_medical_o1,
        checks=checks.RAW,
        settings=("source",),
        files=source_files,
    ),
    Stage(
        "normalized_corpus",
        group="corpus",
        kinds=("python", "polars"),
        code_version="3",
        make=normalized_corpus,
        checks=checks.NORMALIZED,
        inputs=("raw_medical_o1",),
        settings=("normalize",),
    ),
    Stage(
        "deduplicated_corpus",
        group="corpus",
        kinds=("python", "polars"),
        code_version="1",
        make=deduplicated_corpus,
        checks=checks.DEDUPLICATED,
        inputs=("normalized_corpus",),
        settings=("dedup",),
    ),
    Stage(
        "corpus_splits",
        group="corpus",
        kinds=("python", "polars"),
        code_version="2",
        make=corpus_splits,
        checks=checks.SPLIT,
        inputs=("deduplicated_corpus",),
        settings=("splits",),
        files=benchmarks,
    ),
)
