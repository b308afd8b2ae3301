"""What schedule and sensors decide, over a published graph and the runs of an instance."""

import os
import time
from collections.abc import Iterator

import dagster as dg
import huggingface_hub.constants
import pytest
from dagster._core.test_utils import create_run_for_test, instance_for_test

from medcot_pipeline.orchestration.automation import triggers
from medcot_pipeline.orchestration.automation.job import PIPELINE_JOB
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import AutomationSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.hub_server import Hub, serving
from medcot_pipeline_tests.support.planning import ALL, change, make
from medcot_pipeline_tests.support.ticks import launched, skipped, tick

workspace = planning.workspace
RETRAINING, HUB, FILES = triggers.RETRAINING, triggers.HUB_SENSOR, triggers.FILE_SENSOR
FAILURE, CANCELED, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS
REPOSITORY, REVISION = "someone/medical-rows", "a" * 40


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as opened:  # a schedule's context takes none that is in memory alone
        yield opened


@pytest.fixture
def published(workspace: Workspace) -> Workspace:
    """Everything is published and fresh."""
    make(workspace, *ALL)
    return workspace


def assets(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or []]


def end(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> str:
    """The requested run, with the tags it was requested with, as it came out."""
    return str(create_run_for_test(instance, PIPELINE_JOB, status=status, tags=dict(request.tags)).run_id)


def review(workspace: Workspace, name: str = "wang.json", age: float = 3600.0) -> None:
    path = workspace.store.root / "reviews" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"verdicts of {name}")
    os.utime(path, (time.time() - age, time.time() - age))


@pytest.mark.parametrize("name", [RETRAINING, FILES])
def test_a_tick_with_nothing_stale_launches_nothing_and_says_so(
    name: str, instance: dg.DagsterInstance, published: Workspace
) -> None:
    said = {RETRAINING: "Everything is fresh: nothing to run.", FILES: "No new file of rows or of review verdicts."}
    assert skipped(tick(name, instance, published)) == said[name]


def test_the_schedule_runs_what_is_stale_and_what_follows(instance: dg.DagsterInstance, published: Workspace) -> None:
    request = launched(tick(RETRAINING, instance, change(published, "perplexity", max_rows=7)))
    assert assets(request) == [
        "base_perplexity",
        "tuned_perplexity",
        "perplexity_report",
        "eval_report",
        "promotion",
    ]
    assert request.tags["medcot/launched_by"] == RETRAINING


@pytest.mark.parametrize("name", [RETRAINING, FILES])
def test_nothing_is_launched_beside_an_unfinished_run(
    name: str, instance: dg.DagsterInstance, published: Workspace
) -> None:
    review(published)
    run = create_run_for_test(instance, PIPELINE_JOB, status=dg.DagsterRunStatus.STARTED)
    assert (
        skipped(tick(name, instance, published)) == f"Run {run.run_id[:8]} is not finished: the next tick looks again."
    )


def test_a_state_that_fails_is_not_tried_for_ever(instance: dg.DagsterInstance, published: Workspace) -> None:
    stale = change(published, "perplexity", max_rows=7)
    keys = set()
    for _ in range(AutomationSettings().max_attempts):
        request = launched(tick(RETRAINING, instance, stale))
        keys.add(request.run_key)
        last = end(instance, request, FAILURE)
    assert len(keys) == AutomationSettings().max_attempts
    said = skipped(tick(RETRAINING, instance, stale))
    assert said.startswith(f"3 runs over the same state failed, the last is {last[:8]}. It is not launched again until")
    assert launched(tick(RETRAINING, instance, change(published, "perplexity", max_rows=8)))


def test_a_cancelled_run_is_not_launched_again(instance: dg.DagsterInstance, published: Workspace) -> None:
    stale = change(published, "perplexity", max_rows=7)
    run = end(instance, launched(tick(RETRAINING, instance, stale)), CANCELED)
    assert skipped(tick(RETRAINING, instance, stale)).startswith(f"Run {run[:8]} over the same state was cancelled.")


def test_a_state_that_comes_back_after_it_succeeded_gets_a_run_key_of_its_own(
    instance: dg.DagsterInstance, published: Workspace
) -> None:
    stale = change(published, "perplexity", max_rows=7)
    first = launched(tick(RETRAINING, instance, stale))
    end(instance, first, FAILURE)
    end(instance, launched(tick(RETRAINING, instance, stale)), SUCCESS)
    again = launched(tick(RETRAINING, instance, stale))
    assert again.tags == first.tags
    assert again.run_key not in (None, first.run_key)


def test_a_changed_setting_alone_starts_no_sensor(instance: dg.DagsterInstance, published: Workspace) -> None:
    stale = change(published, "training", learning_rate=0.5)
    assert skipped(tick(FILES, instance, stale)) == "No new file of rows or of review verdicts."


def test_a_new_review_starts_what_follows_from_it(instance: dg.DagsterInstance, published: Workspace) -> None:
    review(published)
    request = launched(tick(FILES, instance, published))
    assert assets(request) == ["human_review", *ALL[ALL.index("human_review") + 1 :]]


def test_new_rows_start_everything_after_the_raw_rows(instance: dg.DagsterInstance, published: Workspace) -> None:
    folder = published.store.root / "incoming" / "rows"
    folder.mkdir(parents=True)
    (folder / "batch.jsonl").write_text("{}")
    (folder / ".hidden.jsonl").write_text("{}")
    (folder / "notes.txt").write_text("not rows")
    settled = change(published, "automation", settle_s=0)
    assert set(assets(launched(tick(FILES, instance, settled)))) == set(ALL) - {"base_model"}


def test_a_file_that_was_written_just_now_is_left_until_it_settles(
    instance: dg.DagsterInstance, published: Workspace
) -> None:
    review(published, age=12)
    assert skipped(tick(FILES, instance, published)) == (
        "wang.json was written 12 s ago: it is taken once it stays as it is for 300 s."
    )


def test_a_clock_that_jumped_back_does_not_hold_a_file_up(instance: dg.DagsterInstance, published: Workspace) -> None:
    review(published, age=-3600)
    assert launched(tick(FILES, instance, published))


def test_a_sensor_tries_again_what_its_run_left_stale(instance: dg.DagsterInstance, published: Workspace) -> None:
    review(published)
    request = launched(tick(FILES, instance, published))
    make(published, "human_review", text="joined")  # the run came so far
    end(instance, request, FAILURE)
    assert assets(launched(tick(FILES, instance, published)))[0] == "eval_report"


def test_a_failure_that_somebody_mended_since_starts_no_sensor(
    instance: dg.DagsterInstance, published: Workspace
) -> None:
    review(published)
    end(instance, launched(tick(FILES, instance, published)), FAILURE)
    make(published, "human_review", "eval_report")
    create_run_for_test(instance, PIPELINE_JOB, status=SUCCESS)
    assert skipped(tick(FILES, instance, change(published, "training", learning_rate=0.5)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(REPOSITORY, {REVISION: b"[]"}) as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
        yield server


@pytest.fixture
def following(workspace: Workspace) -> Workspace:
    """Everything is published, and the newest revision at the hub is followed."""
    changed = change(workspace, "source", kind="hub", repository=REPOSITORY, follow_hub=True)
    make(changed, *ALL)
    return changed


def test_a_new_revision_is_written_down_and_starts_what_follows(
    instance: dg.DagsterInstance, following: Workspace, hub: Hub
) -> None:
    result = tick(HUB, instance, following)
    request = launched(result)
    noted = read_json(following.store.root / "incoming" / "revision.json")
    assert (noted, result.cursor) == ({"repository": REPOSITORY, "revision": REVISION}, REVISION)
    assert request.run_key and request.run_key.startswith(f"{REVISION}-")
    assert assets(request)[0] == "raw_medical_o1"


def test_the_same_revision_launches_nothing(instance: dg.DagsterInstance, following: Workspace, hub: Hub) -> None:
    end(instance, launched(tick(HUB, instance, following)), SUCCESS)
    make(following, *ALL)
    assert skipped(tick(HUB, instance, following, REVISION)) == f"{REPOSITORY} is still at {REVISION[:12]}."


def test_a_revision_that_comes_while_a_run_is_under_way_waits_for_it(
    instance: dg.DagsterInstance, following: Workspace, hub: Hub
) -> None:
    run = create_run_for_test(instance, PIPELINE_JOB, status=dg.DagsterRunStatus.STARTING)
    assert skipped(tick(HUB, instance, following)).startswith(f"Run {run.run_id[:8]} is not finished")
    assert not (following.store.root / "incoming").exists()


def test_a_hub_that_does_not_answer_fails_the_tick_in_one_line(
    instance: dg.DagsterInstance, following: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(MedcotError, match=r"^someone/medical-rows: its newest revision cannot be fetched \("):
        tick(HUB, instance, following)


def test_a_source_that_is_not_followed_is_not_asked_for(instance: dg.DagsterInstance, published: Workspace) -> None:
    assert skipped(tick(HUB, instance, published)).startswith("No data set is followed: MEDCOT_SOURCE__KIND=hub")


def test_a_cron_expression_that_is_none_is_one_line() -> None:
    with pytest.raises(MedcotError, match=r"^Setting automation.cron = 'daily at 3': not a cron expression\. Five"):
        triggers.schedules(AutomationSettings(cron="daily at 3"))


def test_the_schedule_has_the_time_zone_that_is_set_and_is_off() -> None:
    (schedule,) = triggers.schedules(AutomationSettings(cron="0 4 * * 1", timezone="Asia/Shanghai"))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 4 * * 1", "Asia/Shanghai")
    switches = [schedule.default_status, *(each.default_status for each in triggers.sensors(AutomationSettings()))]
    assert {switch.name for switch in switches} == {"STOPPED"}
