"""What a sync without work and the first page cost once the storage has grown: `python -m benchmarks.orchestration`.

Belongs here: the whole chain in the profile `tiny`, then as many further materialisations in the storage as `--events`
says; a sync that finds everything fresh, and the web page in headless Chromium until the asset graph and the table of
assets stand there, before and after.
Does not belong here: whether what is shown is right (the tests).
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from playwright.sync_api import Page

from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.support.progress import Progress
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.chromium import chromium
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.servers import webserver

GROUPS = sorted({stage.group for stage in GRAPH.stages})
ASSETS = GRAPH.assets


def sync(home: Home) -> tuple[float, float]:
    """Seconds of wall and of processor of a sync that finds everything fresh."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = home.run("medcot", "sync")
    seconds = time.monotonic() - started
    assert done.stdout.startswith("Everything is fresh."), done.stdout + done.stderr
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def seconds_until_shown(page: Page, url: str, texts: Sequence[str]) -> float:
    """Seconds from asking for a page until all texts are visible on it."""
    started = time.monotonic()
    page.goto(url)
    for text in texts:
        page.get_by_text(text, exact=True).first.wait_for()
    return time.monotonic() - started


def measure(home: Home, repeats: int) -> dict[str, list[float]]:
    """Every measurement, `repeats` times; every page is opened by a browser that has nothing of it yet."""
    syncs = [sync(home) for _ in range(repeats)]
    graph, table = [], []
    with webserver(home) as address:
        for _ in range(repeats):
            for seconds, path, texts in ((graph, "asset-groups", GROUPS), (table, "assets", ASSETS)):
                with chromium() as browser:
                    seconds.append(seconds_until_shown(browser.new_page(), f"{address}/{path}", texts))
    return {
        "sync without work": [wall for wall, _ in syncs],
        "of which processor": [processor for _, processor in syncs],
        "page, asset graph": graph,
        "page, table of assets": table,
    }


def add_materialisations(home: Home, count: int) -> None:
    """Write the last materialisation of every asset again and again, as passes over fresh assets would."""
    progress = Progress("writing materialisations", print)
    with dg.DagsterInstance.from_config(str(home.folder / "dagster")) as instance:
        latest = []
        for asset in ASSETS:
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
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/orchestration.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        made = home.run("medcot", "sync")
        assert made.returncode == 0, made.stderr
        before = measure(home, arguments.repeats)
        add_materialisations(home, arguments.events)
        after = measure(home, arguments.repeats)
    load = os.getloadavg()[1]
    print(f"{arguments.events:,} materialisations added; {os.cpu_count()} cores, load of the last 5 minutes {load:.1f}")
    print("| what | before, median s (fastest to slowest) | after |")
    print("|---|---|---|")
    for name in before:
        print(f"| {name} | {cell(before[name])} | {cell(after[name])} |")
    write_json(arguments.out, {"events": arguments.events, "load": load, "before": before, "after": after})


if __name__ == "__main__":
    main()
