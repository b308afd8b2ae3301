"""Commands of the documentation that need no trained model, run as the pages show them."""

import re
import subprocess
from pathlib import Path

import dagster as dg
import polars as pl
from dagster._core.scheduler.instigation import InstigatorStatus

from medcot_pipeline_tests.support.home import ROOT, Home

DOCS = ROOT / "docs"


def blocks(page: str, kind: str, section: str = "") -> list[str]:
    """The code blocks of a kind on a page, or in one of its sections."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if section:
        assert f"\n## {section}\n" in text, f"{page} has no section {section}"
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def follow(home: Home, folder: Path, *lines: str) -> str:
    """Run lines in one shell that stops at the first failure, with the test's own `medcot`; what they printed."""
    script = "\n".join(lines).replace(".venv/bin/", "")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=home.environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_reads_rows_with_other_field_names(fresh_home: Home, tmp_path: Path) -> None:
    section = "5. Run it on your own rows"
    (rows,) = blocks("tutorial.md", "json", section)
    (tmp_path / "my-rows.jsonl").write_text(rows, encoding="utf-8")
    said = follow(fresh_home, tmp_path, *blocks("tutorial.md", "sh", section), "env")
    assert "MEDCOT_SOURCE__" not in said
    read = pl.read_parquet(fresh_home.current("normalized_corpus") / "rows.parquet")
    assert read["question"].to_list() == ["What lowers a fever?", "When is a cough an emergency?"]


def test_the_retraining_page_switches_schedule_and_sensors_on(fresh_home: Home) -> None:
    (block,) = blocks("how-to/retraining.md", "sh")
    follow(fresh_home, ROOT, *(line for line in block.splitlines() if not line.startswith("dagster dev")))
    with dg.DagsterInstance.from_config(str(fresh_home.folder / "dagster")) as instance:
        states = instance.all_instigator_state()
    running = {state.instigator_name for state in states if state.status == InstigatorStatus.RUNNING}
    assert running == {"retraining", "hub_revision", "new_files"}  # failure_alert runs unless it is switched off


def test_first_steps_of_troubleshooting_work_before_anything_was_made(fresh_home: Home) -> None:
    (block,) = blocks("troubleshooting.md", "sh")
    said = follow(fresh_home, ROOT, block)
    assert "GPU: free" in said
    assert "Nothing to mend." in said
    assert "raw_medical_o1       missing" in said


def test_the_upgrade_page_migrates_the_storage(fresh_home: Home) -> None:
    migrate = blocks("how-to/upgrade.md", "sh")[-1]
    assert "dagster instance migrate" in migrate
    follow(fresh_home, ROOT, migrate)


def test_a_dry_run_says_what_would_run(fresh_home: Home) -> None:
    text = (DOCS / "concepts" / "artifacts.md").read_text(encoding="utf-8")
    (dry, only) = re.findall(r"^\| `(medcot sync (?:--dry-run|--only [^`]+))`", text, re.MULTILINE)
    assert follow(fresh_home, ROOT, dry).count("would materialise") > 20
    wanted = follow(fresh_home, ROOT, f"{only} --dry-run")
    assert "would materialise base_exams" in wanted
    assert wanted.count("would materialise") == 2
