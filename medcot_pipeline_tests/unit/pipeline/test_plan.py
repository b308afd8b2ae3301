import dataclasses
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.artifacts import Identity, Manifest
from medcot_pipeline.pipeline.plan import differences, make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import EndpointSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.planning import ALL, CORPUS, MODEL_FILES, change, identity_of, make, plan, status

workspace = planning.workspace
AFTER_RAW = GRAPH.in_order(GRAPH.downstream({"raw_medical_o1"}))


def test_nothing_made_is_all_missing(workspace: Workspace) -> None:
    assert status(workspace) == {"missing": ALL}


def test_an_asset_without_inputs_says_it_was_never_made(workspace: Workspace) -> None:
    assert plan(workspace)["base_model"].reasons == ("never materialised, or damaged",)


def test_an_asset_with_inputs_says_what_it_waits_for(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1", "base_model")
    assert plan(workspace)["qlora_adapter"].reasons == ("waits for sft_dataset, corpus_splits",)


def test_everything_made_is_all_fresh(workspace: Workspace) -> None:
    make(workspace, *ALL)
    assert status(workspace) == {}
    assert {line.reasons for line in make_plan(workspace)} == {()}


def test_a_plan_knows_how_long_an_asset_took(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1")
    lines = plan(workspace)
    assert (lines["raw_medical_o1"].seconds, lines["base_model"].seconds) == (1.5, None)


def test_a_changed_setting_is_named_with_both_values(workspace: Workspace) -> None:
    make(workspace, *ALL)
    line = plan(change(workspace, "dedup", jaccard=0.7))["deduplicated_corpus"]
    assert (line.status, line.reasons) == ("stale", ("setting dedup.jaccard: 0.6 -> 0.7",))


def test_a_changed_setting_touches_its_stage_and_what_follows(workspace: Workspace) -> None:
    make(workspace, *ALL)
    assert status(change(workspace, "report", transcripts=7)) == {"stale": ["eval_report"], "waiting": ["promotion"]}
    assert status(change(workspace, "perplexity", max_rows=7)) == {
        "stale": ["base_perplexity", "tuned_perplexity"],
        "waiting": ["perplexity_report", "eval_report", "promotion"],
    }


def test_an_asset_after_a_stale_one_waits_for_it(workspace: Workspace) -> None:
    make(workspace, *ALL)
    line = plan(change(workspace, "dedup", jaccard=0.7))["corpus_splits"]
    assert (line.status, line.reasons) == ("waiting", ("waits for deduplicated_corpus",))


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("training", {"max_gpu_memory_gb": 20.0}),
        ("perplexity", {"batch_size": 64}),
        ("judge", {"concurrency": 9, "timeout_s": 5.0, "max_retries": 1}),
        ("answers", {"endpoint": EndpointSettings(base_url="http://127.0.0.1:9/v1", concurrency=2)}),
        ("exams", {"max_questions": 3}),
        ("tracking", {"wandb_mode": "disabled"}),
        ("source", {"repository": "someone/else"}),
        ("base_model", {"seed": 5, "tiny_layers": 9}),
    ],
)
def test_a_setting_that_changes_no_output_changes_no_status(
    workspace: Workspace, section: str, values: dict[str, Any]
) -> None:
    make(workspace, *ALL)
    assert status(change(workspace, section, **values)) == {}


def test_an_edited_source_file_is_named(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.root / "rows.json").write_text("what STANDS in rows.json")
    assert plan(workspace)["raw_medical_o1"].reasons == ("file source file has changed",)
    assert status(workspace) == {"stale": ["raw_medical_o1"], "waiting": AFTER_RAW[1:]}


def test_the_same_file_under_another_name_changes_nothing(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.root / "rows.json").rename(workspace.root / "renamed.json")
    assert status(change(workspace, "source", path=Path("renamed.json"))) == {}


@pytest.mark.parametrize("name", MODEL_FILES)
def test_an_edited_file_of_the_base_model_is_named(workspace: Workspace, name: str) -> None:
    make(workspace, *ALL)
    (workspace.root / "model" / name).write_text("edited")
    assert plan(workspace)["base_model"].reasons == (f"file base model {name} has changed",)


def test_edited_prompts_are_named(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.root / "prompts.jsonl").write_text("edited")
    lines = plan(workspace)
    assert [lines[asset].reasons for asset in ("base_answers", "tuned_answers")] == [("file prompts has changed",)] * 2


def test_a_new_review_and_a_benchmark_that_is_gone_are_named(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.root / "exams" / "exam.jsonl").unlink()
    (workspace.store.root / "reviews").mkdir()
    (workspace.store.root / "reviews" / "wang.json").write_text("{}")
    lines = plan(workspace)
    assert lines["corpus_splits"].reasons == ("file benchmark exam.jsonl is gone",)
    assert lines["human_review"].status == "waiting"


def test_a_new_review_makes_the_human_review_stale(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.store.root / "reviews").mkdir()
    (workspace.store.root / "reviews" / "wang.json").write_text("{}")
    assert status(workspace) == {"stale": ["human_review"], "waiting": ["eval_report", "promotion"]}
    assert plan(workspace)["human_review"].reasons == ("file review wang.json is new",)


def test_an_input_with_other_content_is_named(workspace: Workspace) -> None:
    make(workspace, *CORPUS)
    make(change(workspace, "normalize", min_answer_chars=2), "normalized_corpus", text="other rows")
    line = plan(change(workspace, "normalize", min_answer_chars=2))["deduplicated_corpus"]
    assert (line.status, line.reasons) == ("stale", ("input normalized_corpus has changed",))


def test_an_input_made_anew_with_the_same_content_leaves_the_rest_fresh(workspace: Workspace) -> None:
    make(workspace, *ALL)
    changed = change(workspace, "normalize", min_answer_chars=2)
    make(changed, "normalized_corpus")
    assert status(changed) == {}


def test_another_code_version_is_named(workspace: Workspace) -> None:
    identity = identity_of(workspace, "raw_medical_o1")
    make(workspace, "raw_medical_o1", identity=dataclasses.replace(identity, code_version="0"))
    line = plan(workspace)["raw_medical_o1"]
    version = GRAPH.stage("raw_medical_o1").code_version
    assert (line.status, line.reasons) == ("stale", (f"code version 0 -> {version}",))


def test_a_setting_set_back_says_that_what_was_made_is_used_again(workspace: Workspace) -> None:
    make(workspace, *CORPUS)
    make(change(workspace, "dedup", jaccard=0.7), "deduplicated_corpus", text="other rows")
    assert plan(workspace)["deduplicated_corpus"].reasons == (
        "setting dedup.jaccard: 0.7 -> 0.6",
        "already built: it will be reused",
    )


def test_a_setting_set_back_makes_all_fresh_once_it_is_used_again(workspace: Workspace) -> None:
    make(workspace, *ALL)
    make(change(workspace, "dedup", jaccard=0.7), "deduplicated_corpus", text="other rows")
    make(workspace, "deduplicated_corpus", text="never written")
    assert status(workspace) == {}


def test_a_damaged_artifact_is_missing(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.store.root / "current" / "raw_medical_o1" / "rows.txt").write_text("tampered")
    assert status(workspace) == {"missing": ["raw_medical_o1"], "waiting": AFTER_RAW[1:]}


def test_a_link_to_an_artifact_that_is_gone_is_missing(workspace: Workspace) -> None:
    make(workspace, *ALL)
    (workspace.store.root / "artifacts" / "eval_report").rename(workspace.root / "elsewhere")
    assert status(workspace) == {"missing": ["eval_report"], "waiting": ["promotion"]}


def test_planning_publishes_nothing(workspace: Workspace) -> None:
    make_plan(workspace)
    assert not (workspace.store.root / "artifacts").exists()


def test_an_asset_whose_input_was_never_made_says_which_and_the_command(workspace: Workspace) -> None:
    with pytest.raises(MedcotError) as raised:
        workspace.inputs("eval_report")
    assert str(raised.value) == (
        "eval_report needs perplexity_report, which is not materialised. "
        "Run `medcot sync`, or `dagster asset materialize --select '*eval_report'`."
    )


def test_a_long_value_is_shown_in_brief(workspace: Workspace) -> None:
    old, new = (Identity("toy", "1", {"sft.text": letter * 500}, {}, {}) for letter in "ab")
    (reason,) = differences(old, new)
    assert reason == f"setting sft.text: {'a' * 57}... -> {'b' * 57}..."


def test_equal_identities_do_not_differ(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1")
    manifest = workspace.store.current("raw_medical_o1")
    assert isinstance(manifest, Manifest)
    assert differences(manifest.identity, identity_of(workspace, "raw_medical_o1")) == []
