"""Characters a second of normalisation and of keys, over every genuine text: `python -m benchmarks.normalize`.

Belongs here: timing two functions on one core.
Does not belong here: whether they are right (the tests).
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text
from medcot_pipeline.settings import project_root

REPEATS = 5
FOLDER = Path(os.environ.get("MEDCOT_REALDATA") or project_root().parent / "shared" / "data")


def texts() -> list[str]:
    """Every text of every JSON and JSONL file of the folder."""
    found: list[str] = []
    for path in sorted(FOLDER.glob("*.json*")):
        content = path.read_text(encoding="utf-8")
        records = json.loads(content) if path.suffix == ".json" else [json.loads(line) for line in content.splitlines()]
        found += [value for record in records for value in record.values() if isinstance(value, str)]
    return found


def seconds(function: Callable[[str], str], column: list[str]) -> list[float]:
    """Processor time of each pass over the column."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        for text in column:
            function(text)
        spent.append(time.process_time() - start)
    return spent


def main() -> None:
    """Print the table and, as the last line, the same as JSON."""
    column = texts()
    characters = sum(map(len, column))
    print(f"{len(column):,} texts, {characters:,} characters, {REPEATS} passes on one core")
    result = {}
    for function in (normalize_text, comparison_key):
        rates = sorted(characters / spent for spent in seconds(function, column))
        result[function.__name__] = {"median": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1]}
        print(f"  {function.__name__:16} {result[function.__name__]['median'] / 1e6:.2f} M characters/s")
        print(f"  {'':16} ({rates[0] / 1e6:.2f} to {rates[-1] / 1e6:.2f})")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
