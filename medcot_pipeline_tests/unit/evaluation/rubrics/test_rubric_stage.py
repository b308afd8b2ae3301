"""The stage over published answers: with a judge, without, and over prompts that have no rubric."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.rubrics.checks import RUBRIC_GRADES
from medcot_pipeline.evaluation.rubrics.stages import rubric_grades
from medcot_pipeline.pipeline.check import run_checks
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.graded import Graded, NotGraded, RubricComparison, read_rubric_record
from medcot_pipeline.records.rubrics.rubric import Grade, Rubric
from medcot_pipeline.support.json_files import read_model
from medcot_pipeline.support.table_files import read_jsonl
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.chat_endpoint import endpoint
from medcot_pipeline_tests.support.grading import CALLS, RUBRICS, fair, grades_all
from medcot_pipeline_tests.support.judging import ANSWERS, PROMPTS
from medcot_pipeline_tests.support.planning import change, identity_of, make, workspace
from medcot_pipeline_tests.support.told import Told, run_of

__all__ = ["workspace"]
BEFORE_ANSWERS = ("raw_medical_o1", "normalized_corpus", "deduplicated_corpus", "corpus_splits", "sft_dataset")
INCUMBENT = [dataclasses.replace(each, arm="incumbent") for each in ANSWERS if each.arm == "base"]


def lines(records: Sequence[Prompt | Answer | Rubric]) -> str:
    return "".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in records)


def answered(workspace: Workspace, prompts: Sequence[Prompt], rubrics: Sequence[Rubric], url: str) -> Workspace:
    """The workspace with answers of three arms, a file of rubrics and a judge."""
    make(workspace, *BEFORE_ANSWERS, "base_model", "qlora_adapter", "base_answers", "tuned_answers")
    files = {
        "prompts.jsonl": lines(prompts),
        "answers.jsonl": lines(ANSWERS),
        "incumbent.jsonl": lines(INCUMBENT),
    }
    publish(workspace.store, identity_of(workspace, "model_answers"), files)
    (workspace.root / "rubrics.jsonl").write_text(lines(rubrics), encoding="utf-8")
    judged = change(workspace, "judge", base_url=url, model="judge-1", max_retries=0)
    return change(judged, "rubrics", file=Path("rubrics.jsonl"), bootstrap_resamples=200)


def graded(workspace: Workspace, folder: Path) -> tuple[Run, dict[str, bool]]:
    """The stage's run, and what its checks come to."""
    folder.mkdir()
    run = run_of(workspace, "rubric_grades", folder)
    rubric_grades(run)
    inputs = {"model_answers": run.input("model_answers")}
    return run, {each.name: each.passed for each in run_checks(RUBRIC_GRADES, folder, inputs)}


def test_answers_are_graded_recorded_and_counted(workspace: Workspace, tmp_path: Path) -> None:
    unasked = dataclasses.replace(RUBRICS[0], prompt_id="never-asked")
    further = Prompt("q4", "zh", "用药", "没有评分标准的问题？")
    with endpoint(fair) as (url, requests):
        project = answered(workspace, [*PROMPTS, further], [*RUBRICS, unasked], url)
        run, checks = graded(project, tmp_path / "first")
        assert len(requests) == CALLS, "the incumbent wrote what the base wrote: no call is paid twice"
        graded(project, tmp_path / "second")
        assert len(requests) == CALLS
    record = read_rubric_record(run.path / "rubric.json")
    assert isinstance(record, Graded)
    assert (record.prompts, record.without_rubric, record.passed_over) == (3, 1, 1)
    assert [arm.arm for arm in record.arms] == ["base", "tuned", "incumbent"]
    assert len(read_jsonl(run.path / "grades.jsonl", Grade)) == 3 * 3 * 3
    incumbent = read_model(run.path / "incumbent.json", RubricComparison)
    assert incumbent.overall == record.comparison.overall
    assert checks == dict.fromkeys(checks, True) and len(checks) == 3
    assert (project.data / "cache" / "rubric.jsonl").is_file()
    for name in ("rubric.json", "grades.jsonl", "incumbent.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert run.metadata["rubrics"] == "graded" and run.metadata["rubrics_passed_over"] == 1


def test_a_grader_that_forges_evidence_is_named_by_the_checks_and_stops_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    with endpoint(grades_all(True, lambda answer: "没有这句话")) as (url, _):
        _, checks = graded(answered(workspace, PROMPTS, RUBRICS, url), tmp_path / "out")
    assert checks == {
        "every_answer_graded": True,
        "most_criteria_gradable": False,
        "grader_passes_its_gates": False,
    }
    assert [check.blocking for check in RUBRIC_GRADES] == [True, False, False]


def test_refused_calls_are_said_with_the_way_to_ask_again(workspace: Workspace, tmp_path: Path) -> None:
    with endpoint(lambda messages: 400 if "多休息" in messages[1]["content"] else fair(messages)) as (url, _):
        run, _ = graded(answered(workspace, PROMPTS, RUBRICS, url), tmp_path / "out")
    inputs = {"model_answers": run.input("model_answers")}
    said = {each.name: each.description for each in run_checks(RUBRIC_GRADES, run.path, inputs)}
    assert "`medcot sync --force rubric_grades` asks them again" in said["most_criteria_gradable"]
    assert isinstance(run.host, Told)
    assert any("the judge refused" in line for line in run.host.lines)


def test_a_grade_that_is_missing_is_found(workspace: Workspace, tmp_path: Path) -> None:
    with endpoint(fair) as (url, _):
        run, _ = graded(answered(workspace, PROMPTS, RUBRICS, url), tmp_path / "out")
    path = run.path / "grades.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    (check, *_) = run_checks(RUBRIC_GRADES, run.path, {"model_answers": run.input("model_answers")})
    assert (check.name, check.passed) == ("every_answer_graded", False)


def test_prompts_without_a_rubric_are_no_error_and_cost_no_call(workspace: Workspace, tmp_path: Path) -> None:
    with endpoint(fair) as (url, requests):
        run, checks = graded(
            answered(workspace, PROMPTS[:1], [dataclasses.replace(RUBRICS[0], prompt_id="other")], url),
            tmp_path / "out",
        )
        assert requests == []
    assert read_rubric_record(run.path / "rubric.json") == NotGraded(status="no rubric", passed_over=1)
    assert checks == dict.fromkeys(checks, True)


@pytest.mark.parametrize("there", [True, False])
def test_without_a_judge_nothing_is_graded_and_no_file_is_read(
    workspace: Workspace, tmp_path: Path, there: bool
) -> None:
    project = change(answered(workspace, PROMPTS, RUBRICS, "unused"), "judge", base_url=None)
    if there:
        (project.root / "rubrics.jsonl").write_text("{", encoding="utf-8")
    else:
        (project.root / "rubrics.jsonl").unlink()
    run, checks = graded(project, tmp_path / "out")
    assert read_rubric_record(run.path / "rubric.json") == NotGraded()
    assert checks == dict.fromkeys(checks, True)
    assert sorted(path.name for path in run.path.iterdir()) == ["rubric.json"]
