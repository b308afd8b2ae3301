"""Recall of the overlap screen on planted copies of genuine exam questions: `python -m benchmarks.overlap`.

Belongs here: planting copies by kind and by length, and what share of them the screen finds.
Does not belong here: the screen (corpus/overlap/screen.py), whether a flagged row is contaminated (nobody knows without
reading it).
"""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark, read_items
from medcot_pipeline.corpus.overlap.screen import screen_benchmark
from medcot_pipeline.settings import project_root

FOLDER = Path(os.environ.get("MEDCOT_REALDATA") or project_root().parent / "shared" / "data")
LENGTHS = ((8, 11), (12, 19), (20, 34), (35, 200))
BEFORE = "男，58岁，既往高血压病史二十年，长期吸烟，平素服药不规律，因不适来院就诊。"
BEHIND = "请结合病史说明理由，并给出随访的安排。"
OPTIONS = "\nA. 甲\nB. 乙\nC. 丙\nD. 丁"


def one_changed(stem: str, chance: random.Random) -> str:
    """The stem with one Han character of its inner part replaced."""
    place = chance.randrange(2, len(stem) - 2)
    return f"{stem[:place]}々{stem[place + 1 :]}"


KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "equal": lambda stem, chance: stem,
    "other marks and options": lambda stem, chance: f"{stem}（ ）？{OPTIONS}",
    "embedded": lambda stem, chance: f"{BEFORE}{stem}？{BEHIND}",
    "one character changed": one_changed,
    "embedded, one changed": lambda stem, chance: f"{BEFORE}{one_changed(stem, chance)}？{BEHIND}",
}


def key(question: str) -> str:
    """As `normalized_corpus` makes it."""
    return comparison_key(split_options(normalize_text(question)).stem)


def genuine_questions() -> list[str]:
    """Every genuine question of the zh configuration, planted nowhere."""
    rows = json.loads((FOLDER / "medical_o1_zh.json").read_text(encoding="utf-8"))
    more = (FOLDER / "medical_o1_zh_questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["Question"] for row in rows] + [json.loads(line)["prompt"] for line in more]


def corpus(questions: list[str]) -> pl.DataFrame:
    """Rows as the screen takes them."""
    ids = [f"r{number:06}" for number in range(len(questions))]
    return pl.DataFrame({"row_id": ids, "split": "train", "key": [key(question) for question in questions]})


def main() -> None:
    """Print recall by kind and length, the hits among rows that nothing was planted in, and the time."""
    stems = list(dict.fromkeys(str(item.fields["question"]) for item in read_items(FOLDER / "cmexam_val_half.jsonl")))
    exam = Benchmark("cmexam", [f"#{number}" for number in range(len(stems))], stems)
    chance = random.Random(1)
    result: dict[str, dict[str, str]] = {}
    for kind, plant in KINDS.items():
        for least, most in LENGTHS:
            some = [
                (item, stem) for item, stem in zip(exam.items, stems, strict=True) if least <= len(key(stem)) <= most
            ]
            hits, _ = screen_benchmark(corpus([plant(stem, chance) for _, stem in some]), exam)
            planted = {f"r{number:06}": item for number, (item, _) in enumerate(some)}
            own = [planted[row] == item for row, item in hits.select("row_id", "benchmark_item").iter_rows()]
            found = hits.filter(pl.Series(own, dtype=pl.Boolean))
            confirmed = found.filter(verdict="confirmed").height
            result.setdefault(kind, {})[f"{least} to {most}"] = (
                f"{found.height / len(some):.1%} ({confirmed / len(some):.1%} confirmed, n {len(some)})"
            )
    for kind, row in result.items():
        print(kind, row)
    rows = corpus(genuine_questions())
    start = time.process_time()
    hits, _ = screen_benchmark(rows, exam)
    print(f"{rows.height:,} genuine rows, {len(stems):,} items: {time.process_time() - start:.1f} s of processor time")
    print(json.dumps(hits["method"].value_counts().sort("method").rows()))


if __name__ == "__main__":
    main()
