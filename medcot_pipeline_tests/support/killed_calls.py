"""A process that asks an endpoint, killed while calls are in flight, and once more.

Belongs here: when it is killed, and what was paid for.
Does not belong here: what it asks, what has to come out.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline_tests.support.chat_endpoint import endpoint

KEPT = 5
"""Calls that are answered before the endpoint falls silent."""


def killed_and_begun_again(
    answer: Callable[[list[dict[str, str]]], str], begin: Callable[[str, Path], "subprocess.Popen[str]"], cache: Path
) -> tuple[list[str], Any]:
    """What was paid for in both runs, message by message, and what the second one printed, as JSON.

    The first is killed when `KEPT` calls are kept and all others that it makes at once wait for an answer: one that
    arrived later would be answered to nobody.

    Args:
        answer: of the endpoint.
        begin: starts the process, which keeps what it is answered in the cache, a line each.
        cache: JSONL file.
    """
    paid, waiting, gone, lock = list[str](), list[str](), threading.Event(), threading.Lock()

    def answered_until_silence(messages: list[dict[str, str]]) -> str | int:
        with lock:
            answered = len(paid) < KEPT or gone.is_set()
            (paid if answered else waiting).append(json.dumps(messages))
        return answer(messages) if answered else 500 * gone.wait(60)

    with endpoint(answered_until_silence) as (url, _):
        first = begin(url, cache)
        deadline = time.monotonic() + 60
        while len(waiting) < JudgeSettings().concurrency or cache.read_bytes().count(b"\n") < KEPT:
            assert first.poll() is None and time.monotonic() < deadline, f"{KEPT} calls were not answered"
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        gone.set()
        printed = json.loads(begin(url, cache).communicate(timeout=60)[0])
    assert first.returncode == -signal.SIGKILL
    return paid, printed
