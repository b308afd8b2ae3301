"""Tracking against a server on loopback that speaks enough of Weights & Biases' API for its real client."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import wandb

from medcot_pipeline.settings import TrackingSettings
from medcot_pipeline.training.outcome import tracking
from medcot_pipeline.training.outcome.tracking import start_tracking
from medcot_pipeline_tests.support.tracked_run import start_alone

PROJECT = {"id": "p", "name": "medcot", "entity": {"id": "e", "name": "me"}}
RUN = {"id": "b", "name": "run", "displayName": "run", "description": "", "config": "{}", "sweepName": None}
REPLIES = {
    "UpsertBucket": {"upsertBucket": {"bucket": {**RUN, "project": PROJECT, "historyLineCount": 0}, "inserted": True}},
    "createRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}},
    "ServerFeaturesQuery": {"serverInfo": {"features": []}},
}


class Server(ThreadingHTTPServer):
    """Answers until `silent` is set; from then on it takes calls and says nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.silent = threading.Event()
        self.ended = threading.Event()
        self.calls: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        self.server.calls.append(f"{self.path} {body}")
        if self.server.silent.is_set():
            self.server.ended.wait(60)
            return
        data = next((reply for word, reply in REPLIES.items() if word in body), {})
        answer = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        monkeypatch.setattr(tracking, "INIT_SECONDS", 3)
        monkeypatch.setattr(tracking, "FINISH_SECONDS", 2)
        yield running
        running.silent.clear()
        running.ended.set()
        wandb.teardown()
        running.shutdown()


ONLINE = TrackingSettings(wandb_mode="online")


def test_numbers_reach_a_server_that_answers(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    tracked = start_tracking(ONLINE, tmp_path / "wandb", "a run", {"learning_rate": 1e-4}, said.append)
    assert tracked is not None
    tracked.log({"loss": 1.25}, 1)
    tracked.finish()
    assert said == []
    assert any("file_stream" in call and "train/loss" in call and "1.25" in call for call in server.calls)


def test_a_server_that_does_not_answer_makes_the_run_an_offline_one(server: Server, tmp_path: Path) -> None:
    server.silent.set()
    said: list[str] = []
    tracked = start_tracking(ONLINE, tmp_path / "wandb", "a run", {}, said.append)
    assert tracked is not None
    assert len(said) == 1
    assert said[0].startswith("Weights & Biases does not answer (CommError:")
    assert said[0].endswith(f"tracking offline in {tmp_path / 'wandb'}")
    tracked.log({"loss": 1.0}, 1)
    tracked.finish()
    assert list((tmp_path / "wandb").glob("wandb/offline-run-*/*.wandb"))


def test_a_server_that_goes_away_does_not_hold_the_end_of_the_run(server: Server, tmp_path: Path) -> None:
    tracked = start_tracking(ONLINE, tmp_path / "wandb", "a run", {}, print)
    assert tracked is not None
    server.silent.set()
    tracked.log({"loss": 1.0}, 1)
    started = time.monotonic()
    tracked.finish()
    assert time.monotonic() - started < 30, "it waits for ever unless it is told not to"


def test_a_tracker_that_breaks_is_said_once_and_never_raises(tmp_path: Path) -> None:
    class Broken:
        def log(self, *_: object, **__: object) -> None:
            raise ConnectionResetError("Connection lost")

    said: list[str] = []
    tracked = tracking.Tracking(Broken(), said.append)
    tracked.log({"loss": 1.0}, 1)
    tracked.log({"loss": 1.0}, 2)
    tracked.finish()
    assert said == [
        "Weights & Biases failed (ConnectionResetError: Connection lost): tracking has ended, training goes on"
    ]


@pytest.mark.parametrize(("mode", "address"), [("offline", "wandb.example.org"), ("online", "me:geheim@host")])
def test_an_address_that_is_none_ends_the_tracking_and_not_the_training(
    tmp_path: Path, mode: str, address: str
) -> None:
    """Staged after wandb/wandb#4643: an address without scheme is a traceback."""
    said = start_alone(tmp_path, mode, WANDB_BASE_URL=address)
    assert said == [
        "Weights & Biases cannot start (its setting base_url cannot be used): this run is not tracked",
        "trained on untracked",
    ]


def test_a_key_that_is_none_ends_no_training_and_is_not_shown(tmp_path: Path) -> None:
    """Staged after crewAIInc/crewAI#755: a curly quote in a key."""
    said = start_alone(tmp_path, "online", WANDB_API_KEY="“geheim-4711”", WANDB_BASE_URL="http://127.0.0.1:9")
    assert said[-1].startswith("trained on")
    assert "geheim" not in "".join(said)


def test_disabled_is_not_tracked(tmp_path: Path) -> None:
    assert start_tracking(TrackingSettings(wandb_mode="disabled"), tmp_path, "a run", {}, print) is None
