"""A report-only pass over figures whose corpus and settings have gone on since."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from medcot_pipeline.records.report.report import Report
from medcot_pipeline_tests.support.home import Home

OTHERS = {"MEDCOT_SPLITS__SALT": "another", "MEDCOT_TRAINING__LEARNING_RATE": "0.005", "MEDCOT_TRAINING__SEED": "7"}


@pytest.fixture
def gone_on(chain_copy: Home) -> Home:
    """A copy of the chain with another corpus."""
    done = chain_copy.run("medcot", "sync", "--only", "corpus_splits,sft_dataset", **OTHERS)
    assert done.returncode == 0, done.stderr
    return chain_copy


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_report_made_after_another_corpus_names_the_one_that_its_adapter_was_made_from(gone_on: Home) -> None:
    done = gone_on.run("medcot", "sync", "--only", "eval_report", **OTHERS, MEDCOT_REPORT__TRANSCRIPTS="4")
    assert done.returncode == 0, done.stderr
    report = read(gone_on.current("eval_report") / "report.json")
    jsonschema.validate(report, Report.model_json_schema())
    adapter = read(gone_on.current("qlora_adapter") / "manifest.json")
    named = {artifact["asset"]: artifact["content_hash"] for artifact in report["provenance"]["artifacts"]}
    current = read(gone_on.current("corpus_splits") / "manifest.json")["content_hash"]
    assert named["corpus_splits"] == adapter["inputs"]["corpus_splits"] != current
    settings, seeds = report["provenance"]["settings"], report["provenance"]["seeds"]
    assert (settings["training"]["learning_rate"], seeds["training"]) == (0.02, 42)
    assert (settings["splits"]["salt"], settings["report"]["transcripts"]) == ("medcot-1", 4)
