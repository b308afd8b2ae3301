"""The whole chain in the profile `tiny`, as a person runs it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.table import GRAPH
from medcot_pipeline.training.checkpoints import MARK
from medcot_pipeline_tests.support.home import ROOT, Home

ASSETS = GRAPH.assets


def materialised(output: str) -> set[str]:
    """Assets that a sync made anew, by its own words."""
    return {asset for asset in ASSETS if f"{asset}: published in" in output}


def test_every_asset_is_published_with_a_manifest_and_passed_checks(chain: Home) -> None:
    for asset in ASSETS:
        manifest = json.loads((chain.current(asset) / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["asset"] == asset
        assert manifest["checks"]
        assert all(check["passed"] for check in manifest["checks"] if check["blocking"])


PLOTTED = {
    "raw_medical_o1": {"rows", "rejected"},
    "normalized_corpus": {"rows", "removed_count"},
    "deduplicated_corpus": {"rows", "removed_count", "groups"},
    "corpus_splits": {"rows", "train_rows", "validation_rows", "test_rows"},
    "sft_dataset": {"rows", "tokens", "too_long"},
    "base_model": {"parameters"},
    "qlora_adapter": {"rows", "tokens", "final_loss", "validation_loss", "tokens_per_second", "train_seconds"},
    "base_perplexity": {"rows", "tokens", "perplexity"},
    "tuned_perplexity": {"rows", "tokens", "perplexity", "rows_learned"},
    "perplexity_report": {"base", "tuned", "ratio", "rows"},
    "base_answers": {"prompts", "tokens", "writing_seconds", "tokens_per_second"},
    "tuned_answers": {"prompts", "tokens", "writing_seconds", "tokens_per_second"},
    "model_answers": {"prompts", "safety_flags"},
    "base_exams": {"questions", "right"},
    "tuned_exams": {"questions", "right"},
    "exam_report": {"questions"},
    "judgements": {"verdicts"},
    "rubric_grades": {"rubrics_passed_over"},
    "review_pack": {"review_items"},
    "human_review": {"people", "verdicts"},
    "eval_report": {"base_perplexity", "tuned_perplexity", "relative_drop"},
    "promotion": {"requirements_met", "requirements_missed", "requirements_unmeasured"},
}
"""Numbers that the page plots over time; every asset has `seconds` too."""


def metadata(home: Home, asset: str) -> dict[str, Any]:
    """What the page shows beside an asset."""
    manifest = json.loads((home.current(asset) / "manifest.json").read_text(encoding="utf-8"))
    return dict(manifest["metadata"])


def test_what_people_compare_over_time_is_a_number_beside_every_asset(chain: Home) -> None:
    assert set(PLOTTED) == set(ASSETS)
    for asset, names in PLOTTED.items():
        numbers = {name for name, value in metadata(chain, asset).items() if type(value) in (int, float)}
        assert {*names, "seconds"} <= numbers, asset
    compared = metadata(chain, "perplexity_report")
    for arm in ("base", "tuned"):
        assert metadata(chain, f"{arm}_perplexity")["perplexity"] == pytest.approx(compared[arm])


def test_the_tuned_arm_has_a_perplexity_at_least_5_percent_lower(chain: Home) -> None:
    report = json.loads((chain.current("eval_report") / "report.json").read_text(encoding="utf-8"))
    assert report["perplexity"]["tuned"]["value"] <= 0.95 * report["perplexity"]["base"]["value"]
    assert (chain.current("eval_report") / "report.html").stat().st_size > 10_000


def test_med_o1_holds_the_training_split_with_all_its_reasoning(chain: Home) -> None:
    records = json.loads((chain.current("sft_dataset") / "med_o1.json").read_text(encoding="utf-8"))
    rows = pl.read_parquet(chain.current("corpus_splits") / "rows.parquet").filter(split="train")
    expected = sorted(
        (question, f"<think>\n{reasoning.strip()}\n</think>\n\n{answer.strip()}")
        for question, reasoning, answer in rows.select("question", "reasoning", "answer").iter_rows()
    )
    assert sorted((record["input"], record["output"]) for record in records) == expected


def test_a_second_sync_does_no_work(chain_copy: Home) -> None:
    done = chain_copy.run("medcot", "sync")
    assert done.returncode == 0, done.stderr
    assert "Everything is fresh." in done.stdout
    assert not materialised(done.stderr)


def test_a_setting_of_the_report_redoes_the_report_and_the_decision_on_it(chain_copy: Home) -> None:
    done = chain_copy.run("medcot", "sync", MEDCOT_REPORT__TRANSCRIPTS="2")
    assert materialised(done.stderr) == {"eval_report", "promotion"}, done.stdout + done.stderr
    restored = chain_copy.run("medcot", "sync")
    assert not materialised(restored.stderr), "a setting that was set back finds its artifact again"


def test_a_change_that_gives_the_same_rows_stops_there(chain_copy: Home) -> None:
    done = chain_copy.run("medcot", "sync", MEDCOT_NORMALIZE__MIN_QUESTION_CHARS="4")
    assert materialised(done.stderr) == {"normalized_corpus"}, done.stdout + done.stderr


def test_plan_names_the_setting_that_changed(chain_copy: Home) -> None:
    done = chain_copy.run("medcot", "plan", MEDCOT_PERPLEXITY__SEED="99")
    line = next(line for line in done.stdout.splitlines() if "tuned_perplexity" in line)
    assert "stale" in line
    assert "setting perplexity.seed: 7 -> 99" in line


def test_plan_shows_the_training_plan_that_the_run_then_made(chain_copy: Home) -> None:
    done = chain_copy.run("medcot", "plan")
    summary = json.loads((chain_copy.current("qlora_adapter") / "aside" / "training.json").read_text(encoding="utf-8"))
    made = f"{summary['optimizer_steps']} optimiser steps of 4 rows, {summary['tokens']:,} tokens"
    assert f"Training: hf on CPU: {made}" in " ".join(done.stdout.split())
    assert "micro-batches of rows of like length, at most 4,096 padded tokens" in done.stdout


def test_the_plain_dagster_commands_work_after_medcot_env(chain_copy: Home) -> None:
    script = 'eval "$(medcot env)" && dagster asset materialize --select eval_report && dg launch --assets eval_report'
    done = chain_copy.run("bash", "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_report_over_nothing_names_the_upstream_and_the_command(fresh_home: Home) -> None:
    done = fresh_home.run("bash", "-c", 'eval "$(medcot env)" && dagster asset materialize --select eval_report')
    assert done.returncode == 1
    assert "eval_report needs perplexity_report, which is not materialised. Run `medcot sync`" in done.stderr


def trainer_of(parent: int) -> int | None:
    """Process id of the child process that trains, below another."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended while we looked
            if b"medcot_pipeline.compute.child" in command and int(status[1]) == parent:
                return int(entry.name)
    return None


def test_a_killed_trainer_publishes_nothing_and_the_next_sync_resumes(chain_copy: Home) -> None:
    shorter = {"MEDCOT_TRAINING__MAX_TRAIN_TOKENS": "9000", "MEDCOT_TRAINING__CHECKPOINT_SHARE": "0.2"}
    before = chain_copy.current("qlora_adapter")
    sync = subprocess.Popen(
        ["medcot", "sync", "--only", "qlora_adapter"],
        cwd=ROOT,
        env=chain_copy.environment(**shorter),
        stderr=subprocess.PIPE,
        text=True,
    )
    work = chain_copy.data / "work" / "qlora_adapter"
    deadline = time.monotonic() + 240
    while not list(work.glob(f"*/checkpoint-*/{MARK}")):
        assert sync.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.1)
    trainer = trainer_of(sync.pid)
    assert trainer is not None
    os.kill(trainer, signal.SIGKILL)
    _, errors = sync.communicate(timeout=60)
    assert sync.returncode == 1
    assert "the child process was killed or crashed" in errors.splitlines()[-1]
    assert chain_copy.current("qlora_adapter") == before, "nothing was published"
    again = chain_copy.run("medcot", "sync", "--only", "qlora_adapter", **shorter)
    assert "resuming from checkpoint-" in again.stderr, again.stderr
    assert materialised(again.stderr) == {"qlora_adapter"}
