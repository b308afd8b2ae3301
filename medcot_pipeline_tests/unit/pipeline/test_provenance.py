"""What a report says of where its figures come from, over artifacts whose upstream went on without them."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.report.provenance import provenance
from medcot_pipeline.pipeline.provenance import lineage, recorded_settings
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.corpus_chain import materialise
from medcot_pipeline_tests.support.planning import ALL, CORPUS, change, identity_of, make, workspace
from medcot_pipeline_tests.support.told import run_of

__all__ = ["workspace"]
BEFORE_REPORT = ALL[: ALL.index("eval_report")]


def make_raw(workspace: Workspace, rows: str) -> None:
    """Publish raw rows that say where they came from."""
    publish(workspace.store, identity_of(workspace, "raw_medical_o1"), {"source.json": {"location": rows}})


@pytest.fixture
def evaluated(workspace: Workspace) -> Workspace:
    """Everything before the report, made of one corpus."""
    make_raw(workspace, "rows.json")
    make(workspace, *BEFORE_REPORT)
    return workspace


def with_another_corpus(workspace: Workspace) -> Workspace:
    """Other settings from the source to training, and the corpus alone made by them."""
    changed = change(workspace, "source", path=Path("other.json"))
    (changed.root / "other.json").write_text("other rows")
    changed = change(changed, "splits", salt="another")
    changed = change(changed, "training", learning_rate=0.5, seed=99)
    make_raw(changed, "other.json")
    make(changed, *CORPUS[1:], text="other rows")
    return changed


def reported(workspace: Workspace) -> dict[str, Any]:
    return provenance(run_of(workspace, "eval_report", workspace.data)).model_dump()


def hashes(found: dict[str, Any]) -> dict[str, str]:
    return {artifact["asset"]: artifact["content_hash"] for artifact in found["artifacts"]}


def test_provenance_names_what_the_figures_were_made_from_and_not_what_is_current(evaluated: Workspace) -> None:
    before = reported(evaluated)
    assert [artifact["asset"] for artifact in before["artifacts"]] == BEFORE_REPORT
    changed = with_another_corpus(evaluated)
    after = reported(changed)
    assert after["artifacts"] == before["artifacts"]
    adapter, splits = (changed.store.current(asset) for asset in ("qlora_adapter", "corpus_splits"))
    assert adapter and splits
    assert hashes(after)["corpus_splits"] == adapter.inputs["corpus_splits"] != splits.content_hash
    assert (after["settings"]["training"]["learning_rate"], after["settings"]["splits"]["salt"]) == (1e-4, "medcot-1")
    assert (after["seeds"]["training"], after["sources"]["location"]) == (42, "rows.json")


def test_the_reports_own_settings_are_those_of_its_pass(evaluated: Workspace) -> None:
    changed = change(evaluated, "report", seed=5, transcripts=2)
    found = reported(changed)
    assert (found["seeds"]["report"], found["settings"]["report"]["transcripts"]) == (5, 2)


def test_settings_are_nested_by_section_and_hold_no_secret(evaluated: Workspace) -> None:
    found = reported(evaluated)
    assert found["settings"]["source"]["fields"]["question"] == "Question"
    assert "api_key" not in str(found)


def test_a_deleted_artifact_is_named_with_its_content_and_nothing_before_it_is_known(
    evaluated: Workspace,
) -> None:
    splits = evaluated.store.current("corpus_splits")
    assert splits
    with_another_corpus(evaluated)
    shutil.rmtree(evaluated.store.folder("corpus_splits", splits.fingerprint))
    found = reported(evaluated)
    assert hashes(found) == {name: hashes(found)[name] for name in BEFORE_REPORT[3:]}
    (gone,) = [artifact for artifact in found["artifacts"] if artifact["asset"] == "corpus_splits"]
    assert (gone["content_hash"], gone["fingerprint"]) == (splits.content_hash, "")
    assert found["sources"] == {"not known": "not kept any more: corpus_splits"}
    assert "splits" not in found["settings"]


def test_a_damaged_artifact_counts_as_one_that_is_not_kept(evaluated: Workspace) -> None:
    raw = evaluated.store.current("raw_medical_o1")
    assert raw
    write_json(evaluated.store.folder("raw_medical_o1", raw.fingerprint) / "source.json", {"location": "forged"})
    assert reported(evaluated)["sources"] == {"not known": "not kept any more: raw_medical_o1"}


def test_of_two_artifacts_with_one_content_the_one_that_was_there_counts(evaluated: Workspace) -> None:
    later = change(evaluated, "normalize", min_answer_chars=2)
    make(later, "normalized_corpus")
    folder = evaluated.store.root / "current" / "normalized_corpus"
    manifest = evaluated.store.current("normalized_corpus")
    assert manifest
    dataclasses.replace(manifest, created="2999-01-01T00:00:00+00:00").write(folder)
    assert reported(later)["settings"]["normalize"]["min_answer_chars"] == 1


def test_an_asset_that_comes_out_the_same_for_another_adapter_counts_as_made_of_it(evaluated: Workspace) -> None:
    """Without exams `tuned_exams` is always the same, so that `exam_report` is older than the one of this adapter."""
    changed = change(evaluated, "training", learning_rate=0.5)
    make(changed, "qlora_adapter", "tuned_perplexity", "tuned_answers", text="another adapter")
    make(changed, "tuned_exams")
    after = ("perplexity_report", "model_answers", "judgements", "rubric_grades", "review_pack", "human_review")
    make(changed, *after, text="another adapter")
    adapter, exams = changed.current("qlora_adapter"), changed.current("tuned_exams")
    assert adapter and exams
    found = {artifact["asset"]: artifact["fingerprint"] for artifact in reported(changed)["artifacts"]}
    assert (found["qlora_adapter"], found["tuned_exams"]) == (adapter.manifest.fingerprint, exams.manifest.fingerprint)


def test_of_reviews_that_say_the_same_the_one_beside_the_reports_verdicts_counts(evaluated: Workspace) -> None:
    """Without reviews `human_review` is the same whatever the judge said; a judge that was tried out and left again."""
    judged = change(evaluated, "judge", base_url="http://127.0.0.1:9/v1", model="judge-1")
    make(judged, "judgements", text="verdicts")
    make(judged, "human_review")
    make(judged, "eval_report", text="with a judge")
    make(evaluated, "judgements", "human_review", "eval_report")
    judgements = evaluated.store.current("judgements")
    assert judgements
    found = {each.asset: each.content_hash for each in lineage(run_of(evaluated, "promotion", evaluated.data))}
    assert found["judgements"] == judgements.content_hash


def test_versions_that_changed_on_the_way_are_given_with_what_was_made_with_them(evaluated: Workspace) -> None:
    manifest = evaluated.store.current("qlora_adapter")
    assert manifest
    older = dataclasses.replace(manifest, packages={**manifest.packages, "torch": "1.0"}, git_commit="c0ffee")
    older.write(evaluated.store.folder("qlora_adapter", manifest.fingerprint))
    found = reported(evaluated)
    assert "1.0 (qlora_adapter)" in found["packages"]["torch"]
    assert {artifact["asset"]: artifact["git_commit"] for artifact in found["artifacts"]}["qlora_adapter"] == "c0ffee"


def test_figures_of_two_adapters_make_no_report(evaluated: Workspace) -> None:
    changed = change(evaluated, "training", learning_rate=0.5)
    make(changed, "qlora_adapter", text="another adapter")
    with pytest.raises(MedcotError, match=r"were made from different artifacts of qlora_adapter.*Run `medcot sync`"):
        reported(changed)


def test_an_adapter_is_not_promoted_on_the_figures_of_another(evaluated: Workspace) -> None:
    make(evaluated, "eval_report")
    changed = change(evaluated, "training", learning_rate=0.5)
    make(changed, "qlora_adapter", text="another adapter")
    with pytest.raises(MedcotError, match=r"promotion: .* were made from different artifacts of qlora_adapter"):
        materialise(changed, "promotion")
    assert Promoted(changed.store.root).adapter is None


def test_the_data_cards_settings_are_those_of_the_corpus_that_it_describes(evaluated: Workspace) -> None:
    changed = change(evaluated, "dedup", jaccard=0.7)
    found = lineage(run_of(changed, "sft_dataset", changed.data))
    settings = recorded_settings(identity_of(changed, "sft_dataset"), found)
    assert settings["dedup"]["jaccard"] == 0.6
    assert set(settings) == {"source", "normalize", "dedup", "splits", "sft"}


def test_every_stage_before_the_report_is_in_its_provenance(evaluated: Workspace) -> None:
    assert set(hashes(reported(evaluated))) == set(ALL) - {"eval_report", "promotion"}
