"""What a sync without work and the first page cost once the storage has grown: `python -m benchmarks.orchestration`.

Belongs here: the corpus of the profile `tiny`, then as many further materialisations in the storage as `--events` says;
a sync that finds everything fresh, the page's HTML, and the question that the asset graph asks, before and after.
Does not: whether what is shown is right (the tests).
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from medcot_pipeline.progress import Progress
from medcot_pipeline.settings import project_root
from medcot_pipeline.stages import STAGES
from medcot_pipeline_tests.conftest import Home
from medcot_pipeline_tests.servers import graphql, webserver

CORPUS = [stage.asset for stage in STAGES if stage.group == "corpus"]
SYNC = ("medcot", "sync", "--only", ",".join(CORPUS))
GRAPH = """
{ assetNodes { assetKey { path } staleStatus staleCauses { reason } groupName
    assetMaterializations(limit: 1) { timestamp runId metadataEntries { label } } } }
"""


def sync(home: Home) -> tuple[float, float]:
    """Seconds of wall and of processor of a sync that finds everything fresh."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = home.run(*SYNC)
    seconds = time.monotonic() - started
    assert done.stdout.startswith("Everything is fresh."), done.stdout + done.stderr
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def seconds_of(ask: Callable[[], Any]) -> float:
    """Seconds that an answer takes."""
    started = time.monotonic()
    ask()
    return time.monotonic() - started


def measure(home: Home, repeats: int) -> dict[str, list[float]]:
    """Every measurement, `repeats` times."""
    syncs = [sync(home) for _ in range(repeats)]
    with webserver(home) as address:
        html = [seconds_of(lambda: urllib.request.urlopen(address).read()) for _ in range(repeats)]
        graph = [seconds_of(lambda: graphql(address, GRAPH)) for _ in range(repeats)]
    return {
        "sync without work": [wall for wall, _ in syncs],
        "of which processor": [processor for _, processor in syncs],
        "page, HTML": html,
        "page, asset graph": graph,
    }


def add_materialisations(home: Home, count: int) -> None:
    """Write the last materialisation of every asset again and again, as passes over fresh assets would."""
    progress = Progress("writing materialisations", print)
    with dg.DagsterInstance.from_config(str(home.folder / "dagster")) as instance:
        latest = []
        for asset in CORPUS:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            assert event is not None and event.asset_materialization is not None
            latest.append(event.asset_materialization)
        for number in range(count):
            instance.report_runless_asset_event(latest[number % len(latest)])
            progress(number + 1, count)


def cell(seconds: list[float]) -> str:
    """Median, fastest and slowest."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1000, help="materialisations that are added")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=project_root() / "build" / "orchestration.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        made = home.run(*SYNC)
        assert made.returncode == 0, made.stderr
        before = measure(home, arguments.repeats)
        add_materialisations(home, arguments.events)
        after = measure(home, arguments.repeats)
    load = os.getloadavg()[1]
    print(f"{arguments.events:,} materialisations added; {os.cpu_count()} cores, load of the last 5 minutes {load:.1f}")
    print("| what | before, median s (fastest to slowest) | after |")
    print("|---|---|---|")
    for name in before:
        cells = (
            f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
            for each in (before[name], after[name])
        )
        print(f"| {name} | {' | '.join(cells)} |")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"events": arguments.events, "load": load, "before": before, "after": after}
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
