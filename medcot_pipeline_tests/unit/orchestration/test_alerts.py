"""Who is told of a failed run, over a real socket."""

import json
import socket
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.orchestration.automation import alerts
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import AutomationSettings, Settings
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.webhook import webhook

ROW = "患者，男，32岁，咳嗽三天"


def fail_and_tell(folder: Path, url: str) -> None:
    """A run that fails over a row, and the sensor told of it."""

    @dg.op
    def raw_medical_o1() -> None:
        raise ValueError(ROW)

    @dg.job
    def medcot() -> None:
        raw_medical_o1()

    settings = Settings(automation=AutomationSettings(webhook_url=SecretStr(url)))
    workspace = Workspace("tiny", settings, folder, ArtifactStore(folder, folder), GRAPH)
    with dg.instance_for_test() as instance:
        failed = medcot.execute_in_process(
            instance=instance, raise_on_error=False, tags={"medcot/launched_by": "new_files"}
        )
        event = failed.get_run_failure_event()
        context = dg.build_run_status_sensor_context(
            alerts.ALERT_SENSOR, event, instance, failed.dagster_run, resources={"workspace": workspace}
        ).for_run_failure()
        alerts.alert_sensor(settings.automation)(context)


def test_a_failed_run_is_told_by_its_names_alone(tmp_path: Path) -> None:
    with webhook() as (url, told):
        fail_and_tell(tmp_path, url)
    (alert,) = told
    assert {name: alert[name] for name in ("event", "profile", "job", "assets", "launched_by")} == {
        "event": "run failed",
        "profile": "tiny",
        "job": "medcot",
        "assets": ["raw_medical_o1"],
        "launched_by": "new_files",
    }
    assert ROW not in json.dumps(alert, ensure_ascii=False)


def test_what_is_said_of_a_dead_webhook_does_not_hold_its_address() -> None:
    assert alerts.send(SecretStr("http://127.0.0.1:1/secret-token"), {}) == "the webhook was not told (ConnectError)"


def test_a_webhook_that_refuses_is_said() -> None:
    with webhook(status=403) as (url, _):
        assert alerts.send(SecretStr(url), {}) == "the webhook was not told (HTTP 403)"


def test_a_webhook_that_never_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "WEBHOOK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert alerts.send(SecretStr(url), {}) == "the webhook was not told (TimeoutError)"


def test_without_a_webhook_nobody_is_told() -> None:
    assert alerts.send(SecretStr(""), {}) == ""


def test_an_alert_does_not_go_on_to_another_host() -> None:
    with webhook() as (other, told), webhook(status=307, location=other) as (url, _):
        assert alerts.send(SecretStr(url), {}) == "the webhook was not told (HTTP 307)"
    assert told == []


def test_what_a_webhook_says_at_length_is_not_read() -> None:
    with webhook(says=b" " * 2**26) as (url, _):
        assert alerts.send(SecretStr(url), {}) == ""


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "socks://127.0.0.1:1"])
def test_a_webhook_on_this_machine_is_told_past_every_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with webhook() as (url, told):
        assert alerts.send(SecretStr(url), {"event": "run failed"}) == ""
    assert told == [{"event": "run failed"}]


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks://user:secret-token@127.0.0.1:1")
    said = alerts.send(SecretStr("https://hook.invalid/secret-token"), {})
    assert said.startswith("the webhook was not told: The environment names a proxy that cannot be used (ALL_PROXY).")
    assert "secret-token" not in said


def test_the_log_of_the_http_library_does_not_hold_the_address(caplog: pytest.LogCaptureFixture) -> None:
    with webhook() as (url, _), caplog.at_level("DEBUG"):
        assert alerts.send(SecretStr(url), {}) == ""
    assert "secret-token" not in caplog.text
