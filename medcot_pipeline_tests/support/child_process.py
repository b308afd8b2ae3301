"""The child process of an asset, started as Dagster starts it, so that a test can kill it.

Belongs here: the protocol of Pipes from outside, without a Dagster run around it.
Does not belong here: what a test does to the process.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagster_pipes import encode_param

from medcot_pipeline.compute.launch import Arguments, launch_of
from medcot_pipeline.support.progress import Say
from medcot_pipeline_tests.support.home import ROOT, Home


def start_child(
    home: Home, folder: Path, job: Callable[[Arguments, Say], dict[str, Any]], arguments: Arguments, **environment: str
) -> "subprocess.Popen[str]":
    """Start a job that writes into `folder`, with the lock that a run over the home's data folder takes."""
    folder.mkdir(exist_ok=True)
    name = job.__name__
    launch = launch_of(name, job, arguments, place=f"{name}:", holder=name, data=home.data)
    unused = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "job_name")
    context: dict[str, Any] = {**dict.fromkeys(unused), "run_id": "1", "retry_number": 0, "extras": dict(launch.told)}
    context |= {"partition_key_range": None, "partition_time_window": None}
    pipes = {
        "DAGSTER_PIPES_CONTEXT": encode_param({"data": context}),
        "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(messages(folder))}),
    }
    return subprocess.Popen(
        launch.command,
        cwd=ROOT,
        env=home.environment(**launch.environment, **pipes, **environment),
        stderr=subprocess.PIPE,
        text=True,
    )


def messages(folder: Path) -> Path:
    """The file of what a child said."""
    return folder / "messages"


def said(folder: Path) -> str:
    """Everything that a child said so far."""
    return messages(folder).read_text(encoding="utf-8") if messages(folder).exists() else ""


def finish(child: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    """Wait for a child; its result.

    Raises:
        AssertionError: it failed, or reported a problem.
    """
    _, errors = child.communicate(timeout=600)
    assert child.returncode == 0, errors
    reported = [json.loads(line) for line in said(folder).splitlines()]
    payloads = [each["params"]["payload"] for each in reported if each["method"] == "report_custom_message"]
    assert "result" in payloads[-1], payloads
    return dict(payloads[-1]["result"])
