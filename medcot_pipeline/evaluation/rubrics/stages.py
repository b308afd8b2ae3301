"""Answers graded by rubrics.

Belongs here: the stage of the grades.
Does not belong here: asking (grading.py), what grades add up to (figures.py), which of two answers is better
(judging/).
"""

import time

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.rubrics import checks
from medcot_pipeline.evaluation.rubrics.figures import compare, graded_arm
from medcot_pipeline.evaluation.rubrics.files import read_rubrics
from medcot_pipeline.evaluation.rubrics.grading import grade_answers, with_rubric
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.judgement import PaidCalls
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.graded import Graded, GroupScore, NotGraded, RubricRecord
from medcot_pipeline.records.rubrics.rubric import Rubric
from medcot_pipeline.settings import project_file
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline.support.table_files import read_jsonl, write_jsonl

GRADES = "grades.jsonl"
RECORD = "rubric.json"
INCUMBENT_RECORD = "incumbent.json"


def rubric_grades(run: Run) -> None:
    """Which criteria of its prompt's rubric each answer meets, graded by the AI judge if one is configured."""
    upstream = run.input("model_answers")
    prompts = read_jsonl(upstream / "prompts.jsonl", Prompt)
    answers = read_jsonl(upstream / "answers.jsonl", Answer)
    beside = upstream / "incumbent.jsonl"
    incumbent = read_jsonl(beside, Answer) if beside.is_file() else []
    record: RubricRecord = NotGraded()
    if run.settings.judge.base_url:
        rubrics = read_rubrics(project_file(run.settings.rubrics.file, run.root))
        record = _grade(run, prompts, [*answers, *incumbent], rubrics)
    write_model(run.path / RECORD, record)
    run.describe(rubrics=record.status, rubrics_passed_over=record.passed_over)


def _grade(run: Run, prompts: list[Prompt], answers: list[Answer], rubrics: list[Rubric]) -> RubricRecord:
    """The record over base and tuned; the comparison with the incumbent goes into a file of its own."""
    graded = with_rubric(prompts, rubrics)
    if not graded:
        return NotGraded(status="no rubric", passed_over=len(rubrics))
    settings, cache = run.settings.judge, run.place.data / "cache" / "rubric.jsonl"
    started = time.monotonic()
    outcome = grade_answers(graded, answers, settings, cache, run.progress("grading"))
    paid = outcome.paid.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
    write_model(run.aside("paid.json"), paid)
    write_jsonl(run.path / GRADES, outcome.grades)
    asked, arms = [prompt for prompt, _ in graded], list(dict.fromkeys(answer.arm for answer in answers))
    comparison = compare(asked, outcome.grades, run.settings.rubrics)
    if "incumbent" in arms:
        beside = compare(asked, outcome.grades, run.settings.rubrics, "incumbent")
        write_model(run.path / INCUMBENT_RECORD, beside)
    record = Graded(
        model=settings.model,
        prompts=len(graded),
        without_rubric=len(prompts) - len(graded),
        passed_over=len(rubrics) - len(graded),
        arms=tuple(graded_arm(arm, outcome.grades, outcome.empty.get(arm, 0)) for arm in arms),
        comparison=comparison,
        gates=outcome.gates,
        **outcome.recorded(),
    )
    _show(run, record, paid)
    return record


def _show(run: Run, record: Graded, paid: PaidCalls) -> None:
    """The figures on the page, and what a person should know of the calls in the log."""
    comparison = record.comparison
    groups = (comparison.overall, *comparison.by_axis, *comparison.by_set, *comparison.by_category)
    run.describe(
        scores=Table([_row(group) for group in groups]),
        graded_arms=Table([arm.model_dump() for arm in record.arms]),
        gates=Table([{**gate.model_dump(exclude={"share"}), **dict(gate.share)} for gate in record.gates]),
        grader_calls=Table([{**dict(record.calls), **dict(paid)}]),
        grades=FileLink(GRADES),
        base_score=comparison.overall.other.value,
        tuned_score=comparison.overall.tuned.value,
        prompt_tokens=record.tokens.prompt,
        completion_tokens=record.tokens.completion,
        calls_asked=paid.asked,
        calls_cached=paid.cached,
    )
    if record.changed:
        run.describe(asked_otherwise=", ".join(record.changed))
        run.say(f"the judge does not accept every option and was asked {', '.join(record.changed)}")
    for error, count in record.errors.items():
        run.say(f"the judge refused {count:,} calls ({error}): the criteria of their answers have no grade")


def _row(group: GroupScore) -> dict[str, str | int | float | bool | None]:
    estimates = {"base": group.other, "tuned": group.tuned, "difference": group.difference}
    values = {name: each.value for name, each in estimates.items()}
    return {"group": group.group, "n": group.n, **values, "low": group.difference.low, "high": group.difference.high}


def rubrics_outside(place: Place) -> list[OutsideFile]:
    """The file of rubrics, which nobody reads without a judge."""
    path = project_file(place.settings.rubrics.file, place.root)
    return [OutsideFile("rubrics", path)] if place.settings.judge.base_url else []


STAGES = (
    Stage(
        "rubric_grades",
        group="evaluation",
        code_version="1",
        make=rubric_grades,
        checks=checks.RUBRIC_GRADES,
        inputs=("model_answers",),
        settings=("judge", "rubrics"),
        files=rubrics_outside,
    ),
)
