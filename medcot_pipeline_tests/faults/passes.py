"""Passes over the graph that are killed, and what must hold afterwards.

Belongs here: starting a pass, killing it at a point that the disk shows or after a while, comparing the end with an
undisturbed pass.
Does not belong here: which kills make up a schedule (test_killed_passes.py).
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from medcot_pipeline.compute.gpu_lock import lock_paths
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process
from medcot_pipeline.support.locks import holder_of
from medcot_pipeline_tests.faults.watcher import PUBLISHED, model_processes, processes
from medcot_pipeline_tests.support.home import ROOT, Home

CORPUS = ("raw_medical_o1", "normalized_corpus", "deduplicated_corpus", "corpus_splits", "sft_dataset")
PATIENCE = 900.0
SERVERS = ("dagster-webserver", "dagster-daemon", "dagster api grpc", "multiprocessing.resource_tracker")
"""What the command lines of servers, of their code locations and of the helpers of these hold."""


def staged(data: Path, asset: str) -> bool:
    """The asset is being made."""
    return any(path.is_dir() for path in data.glob(f"artifacts/{asset}/.staging-*"))


def written(data: Path, asset: str) -> bool:
    """It is made and checked, and not published yet."""
    return any(data.glob(f"artifacts/{asset}/.staging-*/manifest.json"))


def renamed(data: Path, asset: str) -> bool:
    """It is published."""
    return any(PUBLISHED.fullmatch(path.name) for path in data.glob(f"artifacts/{asset}/*"))


def selected(data: Path, asset: str) -> bool:
    """It is current."""
    return (data / "current" / asset).is_symlink()


POINTS: dict[str, Callable[[Path, str], bool]] = {
    point.__name__: point for point in (staged, written, renamed, selected)
}


def state(data: Path, assets: Sequence[str]) -> str:
    """What the disk shows of the furthest asset that was touched: the name of a point, or `before`."""
    for asset in reversed(assets):
        if renamed(data, asset):
            return f"{asset} {'selected' if selected(data, asset) else 'renamed'}"
        if staged(data, asset):
            return f"{asset} {'written' if written(data, asset) else 'staged'}"
    return "before"


def seed() -> int:
    """The schedule's seed: FAULTS_SEED, else 1."""
    return int(os.environ.get("FAULTS_SEED", "1"))


@dataclasses.dataclass
class Schedule:
    """A home over which passes are killed, and the tally of the kills."""

    home: Home
    assets: Sequence[str]
    overrides: dict[str, str] = dataclasses.field(default_factory=dict)
    tally: Counter[str] = dataclasses.field(default_factory=Counter)

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a pass in the home, in a process group of its own."""
        log = (self.home.folder / "passes.log").open("ab")
        with log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.home.environment(**self.overrides),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_when(self, victim: int, seen: Callable[[], bool], name: str, alive: Callable[[], bool]) -> None:
        """Kill a process with SIGKILL once something is seen, or leave it when it ends before."""
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert time.monotonic() < deadline, f"{name}: not seen in {PATIENCE:.0f} s"
            if not alive():
                self.tally[f"{name}: ended before the kill"] += 1
                return
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        time.sleep(0.1)
        self.tally[name] += 1
        print(f"kill {self.kills:3} {name}; on disk: {state(self.home.data, self.assets)}", flush=True)

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.tally.items() if "ended before" not in name)

    def kill_command(self, command: Sequence[str], name: str, seen: Callable[[], bool]) -> None:
        """Start a pass and kill its process."""
        process = self.start(*command)
        self.kill_when(process.pid, seen, name, lambda: process.poll() is None)
        process.wait(timeout=PATIENCE)
        self.assert_no_orphan()

    def assert_no_orphan(self) -> None:
        """No model process outlives its parent; one that was just started has to load its code before it can notice."""
        deadline = time.monotonic() + 60
        while list(model_processes(self.home.data)):
            assert time.monotonic() < deadline, list(processes(self.home.data))
            time.sleep(0.05)

    def mend_and_finish(self) -> str:
        """`medcot doctor && medcot sync`; what they said."""
        done = self.home.run("medcot", "doctor", **self.overrides)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        only = ("--only", ",".join(self.assets))
        finished = self.home.run("medcot", "sync", *only, **self.overrides)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return done.stdout + finished.stdout

    def assert_nothing_left(self, *servers: str) -> None:
        """The GPU is free, no run unfinished, no half artifact, no process but those of servers that still run."""
        assert gpu_holders(self.home) == []
        assert unfinished_runs(self.home) == []
        assert list(self.home.data.glob("artifacts/*/.staging-*")) == []
        assert list(self.home.data.glob("current/.*")) == []
        left = [command for _, command in processes(self.home.data) if not any(name in command for name in servers)]
        assert left == []


def run_process(home: Home, run_id: str) -> int:
    """Number of the process that works on a launched run, once it has written its tag."""
    deadline = time.monotonic() + PATIENCE
    with instance(home) as opened:
        while True:
            run = opened.get_run_by_id(run_id)
            assert run is not None and not run.is_finished and time.monotonic() < deadline, run
            if PROCESS_TAG in run.tags:
                return Process.from_tag(run.tags[PROCESS_TAG]).pid
            time.sleep(0.1)


def wait_for_status(home: Home, run_id: str, *wanted: str) -> str:
    """Wait until a run has one of the statuses; which."""
    deadline = time.monotonic() + PATIENCE
    with instance(home) as opened:
        while True:
            run = opened.get_run_by_id(run_id)
            assert run is not None and time.monotonic() < deadline, run
            if run.status.value in wanted:
                return run.status.value
            time.sleep(0.1)


def wait_for_queue(home: Home) -> None:
    """Wait until the daemon has launched every run that was queued before it was killed, and all have ended."""
    deadline = time.monotonic() + PATIENCE
    while unfinished_runs(home):
        assert time.monotonic() < deadline, unfinished_runs(home)
        time.sleep(0.5)


def after(seconds: float) -> Callable[[], bool]:
    """Seen once so many seconds have passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def at(point: str, home: Home, asset: str) -> Callable[[], bool]:
    """Seen once the disk shows a point of an asset."""
    return lambda: POINTS[point](home.data, asset)


def moments(count: int, longest: float) -> list[float]:
    """Seconds, drawn from the seed."""
    return [random.Random(f"{seed()}-{number}").uniform(0.0, longest) for number in range(count)]


def identities(home: Home, assets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Fingerprint and content hash of every current artifact."""
    found = {}
    for asset in assets:
        manifest = json.loads((home.current(asset) / "manifest.json").read_text(encoding="utf-8"))
        found[asset] = (manifest["fingerprint"], manifest["content_hash"])
    return found


def instance(home: Home) -> dg.DagsterInstance:
    """The home's instance."""
    return dg.DagsterInstance.from_config(str(home.folder / "dagster"))


def gpu_holders(home: Home) -> list[str]:
    """Who holds the locks that a model process of the home takes."""
    return [holder for path in lock_paths(home.data) if (holder := holder_of(path))]


def unfinished_runs(home: Home) -> list[tuple[str, str]]:
    """Runs that are not at an end, with their status; one that was made and never started holds nothing."""
    with instance(home) as opened:
        runs = opened.get_runs()
    idle = dg.DagsterRunStatus.NOT_STARTED
    return [(run.run_id, run.status.value) for run in runs if not run.is_finished and run.status != idle]


def copy_artifacts(chain: Home, home: Home, assets: Sequence[str]) -> None:
    """Give a home the artifacts of the chain, as its own."""
    for asset in assets:
        folder = chain.current(asset)
        chain.copy_to(home.folder, f"data/artifacts/{asset}/{folder.name}")
        link = home.data / "current" / asset
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(Path("..") / "artifacts" / asset / folder.name)


@contextlib.contextmanager
def watched(home: Home) -> Iterator[dict[str, Any]]:
    """Watch the data folder all the while; the report is there, and held against what must be, on leaving."""
    home.data.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    path = home.folder / "watched.json"
    command = [sys.executable, "-m", "medcot_pipeline_tests.faults.watcher", str(home.data), str(path)]
    watcher = subprocess.Popen(command, cwd=ROOT)
    try:
        yield report
    finally:
        watcher.terminate()
        assert watcher.wait(timeout=60) == 0
        report |= json.loads(path.read_text(encoding="utf-8"))
    print(f"watched: {report}", flush=True)
    assert report["violations"] == []
    assert report["most model processes at once"] <= 1
    assert report["looks"] > 10
