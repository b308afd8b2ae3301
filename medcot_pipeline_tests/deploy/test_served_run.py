"""A run over the whole graph by queue, daemon and code server, on PostgreSQL, with a judge that wants a key."""

import json
import os
import subprocess
from pathlib import Path

from medcot_pipeline.table import STAGES
from medcot_pipeline_tests.deploy.conftest import JUDGE_KEY, WEBHOOK_TOKEN
from medcot_pipeline_tests.deploy.served import Served
from medcot_pipeline_tests.support.home import ROOT
from medcot_pipeline_tests.support.postgres import INSTALLED, PostgresServer

MADE = {"normalized_corpus", "sft_dataset", "judgements", "rubric_grades", "human_review", "eval_report", "promotion"}
"""What the run made; the models' artifacts were there."""

MATERIALISED = """query($run: ID!) { runOrError(runId: $run) { ... on Run { assetMaterializations {
  assetKey { path } metadataEntries { label ... on BoolMetadataEntry { boolValue } } } } } }"""


def files_with(secret: str, folder: Path) -> list[str]:
    """Files below a folder that hold a secret."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes()
    ]


def test_the_daemon_runs_the_whole_graph_from_the_queue(served: Served, whole_run: str) -> None:
    assert served.finish(whole_run) == "SUCCESS"
    run = served.api(MATERIALISED, "reader", run=whole_run)["runOrError"]
    reused = {
        asset["assetKey"]["path"][0]: next(
            entry["boolValue"] for entry in asset["metadataEntries"] if entry["label"] == "reused"
        )
        for asset in run["assetMaterializations"]
    }
    assert reused == {stage.asset: stage.asset not in MADE for stage in STAGES}


def test_after_the_run_the_plan_is_fresh_for_the_command_too(served: Served, whole_run: str) -> None:
    served.finish(whole_run)
    done = subprocess.run(
        ["medcot", "sync", "--dry-run"], cwd=ROOT, env=served.environment, capture_output=True, text=True
    )
    assert "Everything is fresh." in done.stdout, done.stdout + done.stderr


def test_no_secret_is_in_artifacts_logs_or_the_instance_page(
    served: Served, whole_run: str, postgres: PostgresServer
) -> None:
    served.finish(whole_run)
    judged = json.loads((served.home.current("judgements") / "manifest.json").read_text(encoding="utf-8"))
    assert judged["settings"]["judge.model"] == "judge", "the judge was asked"
    info = served.api("{ instance { info } }")["instance"]["info"]
    for secret in (JUDGE_KEY, WEBHOOK_TOKEN, postgres.password):
        assert files_with(secret, served.home.folder) == []
        assert secret not in info


def test_no_secret_is_in_the_storage(served: Served, whole_run: str, postgres: PostgresServer) -> None:
    served.finish(whole_run)
    dump = subprocess.run(
        [str(INSTALLED[-1] / "pg_dump"), "--inserts"],
        env=os.environ | postgres.environment("served"),
        check=True,
        capture_output=True,
    ).stdout
    assert whole_run.encode() in dump
    for secret in (JUDGE_KEY, WEBHOOK_TOKEN, postgres.password):
        assert secret.encode() not in dump
