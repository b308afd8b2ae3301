"""Near-duplicate detection measured: quality on planted rows, speed and memory beside datasketch and an exact join.

    python -m benchmarks.corpus                              quality and speed at 25,000 rows
    python -m benchmarks.corpus --rows 25000 250000 1000000  speed at these sizes; growth from size to size
    python -m benchmarks.corpus --full-rows 25000            speed on rows with reasoning and answer (840 characters)

Every timed engine runs in a process of its own, on rows that it reads from a file, so that its peak memory is its
own. datasketch (a development dependency) does the same near-duplicate step: MinHash of 128 values over character
3-grams, 32 bands of 4, and the same exact verification.

Belongs here: running, timing, printing, the JSON file.
Does not belong here: the rows (planted.py), what is measured (medcot_pipeline.corpus).
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rapidfuzz.distance import Levenshtein

from benchmarks.planted import SAME, Planted, held_out_swaps, plant
from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.rules.guards import lexicon, refusal
from medcot_pipeline.corpus.dedup.similar.candidates import BANDS, ROWS_PER_BAND, candidate_pairs
from medcot_pipeline.corpus.dedup.similar.edits import changes, longest_span
from medcot_pipeline.corpus.dedup.similar.paraphrases import paraphrase_pairs
from medcot_pipeline.corpus.dedup.similar.shingles import SHINGLE, jaccard
from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text
from medcot_pipeline.corpus.splits.assign import assign_splits
from medcot_pipeline.settings import DedupSettings, SplitSettings
from medcot_pipeline.support.table_files import read_parquet

HIDDEN = tuple(pair for pairs in held_out_swaps().values() for pair in pairs)
Times = dict[str, float]


def normalized(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with normalised texts and the comparison key of the question."""
    texts = {
        name: [normalize_text(text) for text in rows[name].to_list()] for name in ("question", "reasoning", "answer")
    }
    keys = [comparison_key(text) for text in texts["question"]]
    columns = [pl.Series(name, values, dtype=pl.String) for name, values in (texts | {"key": keys}).items()]
    return rows.with_columns(columns)


def time_pipeline(path: Path) -> Times:
    """Normalise, deduplicate and split; paraphrases are timed apart."""
    start = time.perf_counter()
    rows = normalized(read_parquet(path))
    ready = time.perf_counter()
    outcome = find_near_duplicates(rows, DedupSettings(paraphrases=False))
    found = time.perf_counter()
    assign_splits(outcome.kept, SplitSettings())
    end = time.perf_counter()
    return {"seconds": end - start, "normalize": ready - start, "deduplicate": found - ready, "split": end - found}


def _keys(path: Path) -> pl.Series:
    keys = pl.Series("key", [comparison_key(text) for text in read_parquet(path)["question"].to_list()])
    return keys.unique().sort()


def time_paraphrases(path: Path) -> Times:
    """The paraphrase candidates and their cosines."""
    keys = _keys(path)
    start = time.perf_counter()
    left, _, _ = paraphrase_pairs(keys, DedupSettings().review_cosine)
    return {"seconds": time.perf_counter() - start, "pairs": len(left)}


def time_rensa(path: Path) -> Times:
    """The near-duplicate step as this project does it: candidates and exact verification."""
    keys = _keys(path)
    start = time.perf_counter()
    left, right = candidate_pairs(keys)
    similarity = jaccard(keys, left, right)
    return {"seconds": time.perf_counter() - start, "pairs": int((similarity >= DedupSettings().group_jaccard).sum())}


def time_datasketch(path: Path) -> Times:
    """The same step with datasketch."""
    from datasketch import MinHash, MinHashLSH

    keys = _keys(path)
    start = time.perf_counter()
    index = MinHashLSH(num_perm=BANDS * ROWS_PER_BAND, params=(BANDS, ROWS_PER_BAND))
    found: set[tuple[int, int]] = set()
    for number, text in enumerate(keys.to_list()):
        signature = MinHash(num_perm=BANDS * ROWS_PER_BAND)
        grams = {text[place : place + SHINGLE] for place in range(max(1, len(text) - SHINGLE + 1))}
        signature.update_batch([gram.encode() for gram in grams])
        found.update((other, number) for other in index.query(signature))
        index.insert(number, signature, check_duplication=False)
    pairs = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    similarity = jaccard(keys, pairs[:, 0], pairs[:, 1])
    return {"seconds": time.perf_counter() - start, "pairs": int((similarity >= DedupSettings().group_jaccard).sum())}


def time_exact_join(path: Path) -> Times:
    """A plain Polars join of equal keys: the least that any deduplication must do."""
    keys = pl.DataFrame({"key": [comparison_key(text) for text in read_parquet(path)["question"].to_list()]})
    start = time.perf_counter()
    numbered = keys.with_row_index()
    pairs = numbered.lazy().join(numbered.lazy(), on="key").filter(pl.col("index") < pl.col("index_right")).collect()
    return {"seconds": time.perf_counter() - start, "pairs": pairs.height}


ENGINES: dict[str, Callable[[Path], Times]] = {
    "pipeline": time_pipeline,
    "near-duplicate step": time_rensa,
    "datasketch": time_datasketch,
    "exact join": time_exact_join,
    "paraphrases": time_paraphrases,
}


def peak_mb() -> float:
    """Largest resident memory of this process, MB; unlike getrusage it starts anew when a program is executed."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else float("nan")


def measure(engine: str, path: Path, repeats: int) -> dict[str, Any]:
    """Median and spread of an engine's seconds, the median of its other numbers, and its largest peak memory, MB."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-m", "benchmarks.corpus", "--engine", engine, "--file", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
        runs.append(json.loads(done.stdout))
    seconds = [run["seconds"] for run in runs]
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "peak_mb"}
    peak = max(run["peak_mb"] for run in runs)
    return {"engine": engine, **medians, "fastest": min(seconds), "slowest": max(seconds), "peak_mb": peak}


def speed(sizes: list[int], repeats: int, reasoning_chars: int, engines: list[str]) -> list[dict[str, Any]]:
    """One row per size and engine; sizes of 250,000 and more are run once."""
    table = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            planted = plant(size, str, reasoning_chars=reasoning_chars)
            planted.rows.write_parquet(path)
            rows, chars = planted.rows.height, planted.rows.select("question", "reasoning", "answer")
            mean = sum(chars[name].str.len_chars().sum() for name in chars.columns) / rows
            del planted, chars
            for engine in engines:
                row = measure(engine, path, repeats if size < 250_000 else 1)
                table.append({"rows": rows, "mean_chars": round(mean), **row, "rows_per_s": rows / row["seconds"]})
                print(_speed_line(table[-1]), flush=True)
    return table


def _speed_line(row: dict[str, Any]) -> str:
    steps = {name: row[name] for name in ("normalize", "deduplicate", "split") if name in row}
    detail = (
        ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items()) or f"{row.get('pairs', 0):,.0f} pairs"
    )
    return (
        f"{row['rows']:>9,} rows of {row['mean_chars']:>3} chars  {row['engine']:<20} {row['seconds']:>7.2f} s "
        f"({row['fastest']:.2f}-{row['slowest']:.2f})  {row['cpu_seconds']:>7.1f} s of processor  "
        f"{row['rows_per_s']:>9,.0f} rows/s  {row['peak_mb']:>6,.0f} MB  {detail}"
    )


def quality(size: int) -> dict[str, Any]:
    """What became of every planted row; the held-out pairs of words are hidden from the rules."""
    planted = plant(size, comparison_key)
    outcome = find_near_duplicates(planted.rows, DedupSettings(ignored_swaps=HIDDEN))
    truth = {row["row_id"]: row for row in planted.truth.to_dicts()}
    partner = dict(outcome.removed.select("row_id", "partner_id").iter_rows())
    group = dict(outcome.kept.select("row_id", "group_id").iter_rows())
    key = dict(planted.rows.select("row_id", "key").iter_rows())
    counts: dict[tuple[str, bool], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row_id, row in truth.items():
        if row["kind"] == "base":
            continue
        here, there = partner.get(row_id, row_id), partner.get(row["base_id"], row["base_id"])
        tally = counts[row["kind"], row["held_out"]]
        tally[0] += 1
        tally[1] += here == there
        tally[2] += group[here] == group[there]
    right = sum(
        key[row_id] == key[other] or _one_question(truth[row_id], truth[other]) for row_id, other in partner.items()
    )
    table = [
        {"kind": kind, "held_out": hidden, "planted": n, "deleted": deleted / n, "deleted_or_grouped": grouped / n}
        for (kind, hidden), (n, deleted, grouped) in sorted(counts.items())
    ]
    return {
        "rows": planted.rows.height,
        "table": table,
        "pairs_deleted": len(partner),
        "pair_precision": right / len(partner),
        "funnel": outcome.funnel,
        "curve": curve(planted),
    }


def _one_question(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["base_id"] == other["base_id"] and {one["kind"], other["kind"]} <= {"base", *SAME}


def curve(planted: Planted) -> list[dict[str, Any]]:
    """What more or less caution costs, on the planted pairs themselves: edits deleted against near-misses merged."""
    key = dict(planted.rows.select("row_id", "key").iter_rows())
    contexts, words = Contexts(pl.Series(sorted(set(key.values()) - {""}))), lexicon((), HIDDEN)
    wanted = planted.truth.filter(~pl.col("kind").is_in(["base", "copy", "punctuation", "reorder"])).to_dicts()
    texts = pl.Series([key[row["base_id"]] for row in wanted] + [key[row["row_id"]] for row in wanted])
    similarity = jaccard(texts, np.arange(len(wanted)), np.arange(len(wanted)) + len(wanted))
    points = []
    for row, jac, one, other in zip(
        wanted, similarity.tolist(), texts[: len(wanted)], texts[len(wanted) :], strict=True
    ):
        found = changes(one, other)
        kind = "edit" if row["kind"] == "edit" else "held-out near-miss" if row["held_out"] else "listed near-miss"
        edit = Levenshtein.normalized_similarity(one, other)
        points.append((kind, jac, edit, longest_span(found), refusal(found, contexts, words)))
    rules: dict[str, Callable[[float, float, int, str], bool]] = {
        f"Jaccard >= {least:.2f} alone": lambda jac, edit, span, why, least=least: jac >= least  # type: ignore[misc]
        for least in (0.7, 0.8, 0.9)
    }
    rules["Jaccard, edit 0.92, span 2, no rule"] = lambda jac, edit, span, why: (
        jac >= 0.6 and edit >= 0.92 and span <= 2
    )
    rules["and numbers and listed words"] = lambda jac, edit, span, why: (
        jac >= 0.6 and edit >= 0.92 and span <= 2 and why not in ("number", "word", "negation", "lost word")
    )
    rules["all rules but those on only changes"] = lambda jac, edit, span, why: (
        jac >= 0.6 and edit >= 0.92 and span <= 2 and why in ("", "only change", "only substitutions")
    )
    for least in (0.86, 0.88, 0.90, 0.92, 0.94, 0.96):
        rules[f"all rules, edit {least:.2f}"] = lambda jac, edit, span, why, least=least: (  # type: ignore[misc]
            jac >= 0.6 and edit >= least and span <= 2 and not why
        )
    for longest in (1, 3, 4):
        rules[f"all rules, edit 0.92, span {longest}"] = lambda jac, edit, span, why, longest=longest: (  # type: ignore[misc]
            jac >= 0.6 and edit >= 0.92 and span <= longest and not why
        )
    kinds = sorted({point[0] for point in points})
    return [
        {"rule": name} | {kind: statistics.mean(rule(*p[1:]) for p in points if p[0] == kind) for kind in kinds}
        for name, rule in rules.items()
    ]


def print_quality(result: dict[str, Any]) -> None:
    """The two tables of quality."""
    print(f"\n{result['rows']:,} rows; {result['pairs_deleted']:,} deleted, precision {result['pair_precision']:.4f}")
    print(f"{'planted':<14}{'held out':<10}{'n':>6}{'deleted':>10}{'deleted or grouped':>20}")
    for row in result["table"]:
        held = "held out" if row["held_out"] else ""
        print(
            f"{row['kind']:<14}{held:<10}{row['planted']:>6}{row['deleted']:>10.2%}{row['deleted_or_grouped']:>20.2%}"
        )
    print(f"\n{'deleted by':<40}{'edits':>10}{'listed near-misses':>20}{'held out':>10}")
    for row in result["curve"]:
        print(
            f"{row['rule']:<40}{row['edit']:>10.1%}{row['listed near-miss']:>20.2%}{row['held-out near-miss']:>10.2%}"
        )


def main() -> None:
    """Parse the command line, run, print, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[25_000], help="sizes for speed on question columns")
    parser.add_argument("--full-rows", type=int, nargs="*", default=[], help="sizes for speed on full rows")
    parser.add_argument("--quality-rows", type=int, default=25_000, help="rows for quality; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each engine below 250,000 rows")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--json", type=Path, default=Path("corpus_benchmark.json"), help="where the numbers go")
    parser.add_argument("--engine", choices=list(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        start = time.process_time()
        times = ENGINES[args.engine](args.file)
        print(json.dumps({**times, "cpu_seconds": time.process_time() - start, "peak_mb": peak_mb()}))
        return
    result: dict[str, Any] = {"machine": platform.platform(), "processors": len(os.sched_getaffinity(0))}
    if args.quality_rows:
        result["quality"] = quality(args.quality_rows)
        print_quality(result["quality"])
    result["questions"] = speed(args.rows, args.repeats, 0, args.engines)
    result["full_rows"] = speed(args.full_rows, args.repeats, 780, ["pipeline"])
    args.json.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"\nnumbers in {args.json}")


if __name__ == "__main__":
    main()
