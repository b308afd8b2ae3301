"""Schedule, sensors and alert under a real daemon, over SQLite and over PostgreSQL, with the hub on loopback.

Both daemons run side by side, so that what takes a minute (the schedule's own step) is waited for once.
"""

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from medcot_pipeline.orchestration.automation.triggers import FILE_SENSOR, HUB_SENSOR, RETRAINING
from medcot_pipeline.records.review import Key
from medcot_pipeline.support.json_files import read_json, read_model
from medcot_pipeline_tests.support import postgres
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.hub_server import Hub, hub_environment, serving
from medcot_pipeline_tests.support.review_pack import whole
from medcot_pipeline_tests.support.webhook import webhook

pytestmark = pytest.mark.skipif(not postgres.INSTALLED, reason=postgres.MISSING)

STORAGES = ("sqlite", "postgres")
REPOSITORY, PINNED, NEWER = "someone/medical-rows", "a" * 40, "b" * 40
SAMPLE = ROOT / "data" / "sample" / "medical_o1_sample.json"
PATIENCE = 600.0
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@dataclasses.dataclass(frozen=True)
class Served:
    """A home whose daemon runs, and its instance as this process sees it."""

    home: Home
    overrides: dict[str, str]
    instance: dg.DagsterInstance

    def start(self, kind: str, which: str) -> subprocess.Popen[bytes]:
        """Switch a schedule or sensors on, as the README says."""
        command = ["bash", "-c", f'eval "$(medcot env)" && dagster {kind} start {which}']
        return subprocess.Popen(command, cwd=ROOT, env=self.home.environment(**self.overrides))

    def runs(self, launched_by: str) -> list[dg.DagsterRun]:
        """Runs that a schedule or sensor launched, the newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={"medcot/launched_by": launched_by})))

    def state(self, name: str) -> InstigatorState:
        """What the storage holds of a schedule or sensor."""
        (state,) = [each for each in self.instance.all_instigator_state() if each.instigator_name == name]
        return state

    def stop(self, schedule: str) -> None:
        """Switch a schedule off."""
        state = self.state(schedule)
        self.instance.stop_schedule(state.instigator_origin_id, state.selector_id, None)

    def ticks(self, name: str) -> list[InstigatorTick]:
        """Ticks of a schedule or sensor, the newest first."""
        state = self.state(name)
        return list(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))

    def await_run(self, launched_by: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """The first run that the schedule or sensor launched, once it ended as it should."""
        wait(lambda: [run for run in self.runs(launched_by) if run.is_finished], f"a run by {launched_by}")
        (run,) = self.runs(launched_by)
        assert run.status == status
        return run

    def await_skip(self, name: str, reason: str) -> None:
        """A tick from now on that launches nothing, for that reason."""
        now = time.time()
        wait(
            lambda: [
                tick
                for tick in self.ticks(name)
                if tick.timestamp > now and tick.status == TickStatus.SKIPPED and reason in (tick.skip_reason or "")
            ],
            f"a tick of {name} that says {reason!r}",
        )


def start_both(served: list[Served], kind: str, which: str) -> None:
    starting = [each.start(kind, which) for each in served]
    assert [process.wait(timeout=PATIENCE) for process in starting] == [0, 0]


def wait(met: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving(REPOSITORY, {PINNED: SAMPLE.read_bytes()}) as server:
        yield server


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a webhook, and what it was told."""
    with webhook(204) as (url, bodies):
        yield url, bodies


@pytest.fixture(scope="module")
def served(
    chain: Home, tmp_path_factory: pytest.TempPathFactory, hub: Hub, told: tuple[str, list[dict[str, Any]]]
) -> Iterator[list[Served]]:
    """Two homes over copies of the chain's artifacts, one storage each, and a daemon for each."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.postgres_server())
        started = []
        for storage in STORAGES:
            home = chain.copy_to(tmp_path_factory.mktemp(storage), "data")
            (home.folder / "dagster").mkdir()
            settings = (resources.files("medcot_pipeline.orchestration.instance") / "dagster.yaml").read_text(
                encoding="utf-8"
            )
            if storage == "postgres":
                found = server.create("runs")
                url = "postgresql+psycopg2://{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**found)
                settings += f"storage:\n  postgres:\n    postgres_url: {url}\n"
            (home.folder / "dagster" / "dagster.yaml").write_text(settings, encoding="utf-8")
            overrides = {
                **hub_environment(home.folder / "hub", hub.address),
                "MEDCOT_SOURCE__KIND": "hub",
                "MEDCOT_SOURCE__REPOSITORY": REPOSITORY,
                "MEDCOT_SOURCE__REVISION": PINNED,
                "MEDCOT_SOURCE__FOLLOW_HUB": "true",
                "MEDCOT_AUTOMATION__CRON": "* * * * *",
                "MEDCOT_AUTOMATION__INTERVAL_S": "2",
                "MEDCOT_AUTOMATION__SETTLE_S": "0",
                "MEDCOT_AUTOMATION__MAX_ATTEMPTS": "1",
                "MEDCOT_AUTOMATION__WEBHOOK_URL": told[0],
                "DAGSTER_GRPC_TIMEOUT_SECONDS": str(int(PATIENCE)),  # a busy machine is no fault of the schedule
            }
            done = home.run("medcot", "init", **overrides)
            assert done.returncode == 0, done.stderr
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(home.folder / "dagster")))
            each = Served(home, overrides, instance)
            stack.enter_context(daemon(each))
            started.append(each)
        yield started


@contextlib.contextmanager
def daemon(served: Served) -> Iterator[None]:
    log = served.home.folder / "daemon.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["dagster-daemon", "run"],
            cwd=ROOT,
            env=served.home.environment(**served.overrides),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=30)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def test_a_new_revision_at_the_hub_starts_one_run_that_reads_it(served: list[Served], hub: Hub) -> None:
    hub.revisions[NEWER] = json.dumps(json.loads(SAMPLE.read_bytes()), ensure_ascii=False).encode()
    start_both(served, "sensor", "--start-all")
    for each in served:
        each.await_run(HUB_SENSOR, SUCCESS)
        assert read_json(each.home.current("raw_medical_o1") / "source.json")["revision"] == NEWER
        each.await_skip(HUB_SENSOR, f"{REPOSITORY} is still at {NEWER[:12]}.")
        assert len(each.runs(HUB_SENSOR)) == 1


def test_a_new_review_starts_one_run_that_joins_it(served: list[Served]) -> None:
    for each in served:
        (each.home.data / "reviews").mkdir(exist_ok=True)
        verdicts = whole(read_model(each.home.current("review_pack") / "key.json", Key), "tuned")
        (each.home.data / "reviews" / "wang.json").write_text(json.dumps(verdicts), encoding="utf-8")
    for each in served:
        each.await_run(FILE_SENSOR, SUCCESS)
        report = read_json(each.home.current("eval_report") / "report.json")
        assert report["instruction_following"]["headline"] == "human"
        each.await_skip(FILE_SENSOR, "No new file of rows or of review verdicts.")
        assert len(each.runs(FILE_SENSOR)) == 1


def test_the_schedule_runs_what_is_missing_and_at_its_next_tick_nothing(served: list[Served]) -> None:
    for each in served:
        (each.home.data / "current" / "eval_report").unlink()
    start_both(served, "schedule", RETRAINING)
    for each in served:
        run = each.await_run(RETRAINING, SUCCESS)
        assert run.asset_selection == {dg.AssetKey("eval_report"), dg.AssetKey("promotion")}
        each.await_skip(RETRAINING, "Everything is fresh: nothing to run.")
        assert len(each.runs(RETRAINING)) == 1
        each.stop(RETRAINING)


def test_a_run_that_fails_is_told_to_the_webhook_and_not_launched_for_ever(
    served: list[Served], told: tuple[str, list[dict[str, Any]]]
) -> None:
    for each in served:
        (each.home.data / "reviews").mkdir(exist_ok=True)
        (each.home.data / "reviews" / "torn.json").write_text("{", encoding="utf-8")

    def failures(each: Served) -> list[dg.DagsterRun]:
        return [run for run in each.runs(FILE_SENSOR) if run.status == FAILURE]

    for each in served:
        wait(functools.partial(failures, each), "the failed run")
        each.await_skip(FILE_SENSOR, "1 runs over the same state failed")
    wait(lambda: len(told[1]) == len(served), "the alerts")
    failed = {run.run_id for each in served for run in failures(each)}
    assert {alert["run"] for alert in told[1]} == failed
    assert {tuple(alert["assets"]) for alert in told[1]} == {("human_review",)}
