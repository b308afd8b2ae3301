"""The report.

Belongs here: the stage that collects what was measured.
Does not belong here: figures (build.py), sentences (words/), layout (page.py).
"""

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.report import checks
from medcot_pipeline.evaluation.report.build import build_report
from medcot_pipeline.evaluation.report.incumbent import incumbent_section
from medcot_pipeline.evaluation.report.measured import Answered, Measured
from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline.evaluation.report.provenance import provenance, training_summary
from medcot_pipeline.evaluation.report.tables import report_tables
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.answer_figures import AnswerFigures
from medcot_pipeline.records.answers import AdvisedAction, Answer, RulesPassed, checks_of
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.judgement import Judged, PaidCalls, read_judge, read_second_judge
from medcot_pipeline.records.perplexity import IncumbentPerplexity, PerplexityFigures
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.report import IncumbentSection, Report
from medcot_pipeline.records.review import HumanReviews
from medcot_pipeline.records.rubrics.graded import read_rubric_record
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json, read_model, write_model
from medcot_pipeline.support.table_files import read_jsonl


def eval_report(run: Run) -> None:
    """The evaluation report as a page (`report.html`) and as data (`report.json`)."""
    perplexity, answers, judged = (run.input(name) for name in ("perplexity_report", "model_answers", "judgements"))
    paid = judged / "aside" / "paid.json"
    measured = Measured(
        perplexity=read_model(perplexity / "perplexity.json", PerplexityFigures),
        answered=Answered(
            prompts=read_jsonl(answers / "prompts.jsonl", Prompt),
            answers=read_jsonl(answers / "answers.jsonl", Answer),
            checks=read_jsonl(answers / "rules.jsonl", RulesPassed),
            actions=read_jsonl(answers / "actions.jsonl", AdvisedAction),
            figures=read_model(answers / "figures.json", AnswerFigures),
            seconds=read_json(answers / "aside" / "timings.json"),
        ),
        judge=read_judge(judged / "judge.json"),
        second=read_second_judge(judged),
        paid=read_model(paid, PaidCalls) if paid.is_file() else None,
        human=read_model(run.input("human_review") / "human.json", HumanReviews),
        exams=read_model(run.input("exam_report") / "exams.json", Exams),
        rubrics=read_rubric_record(run.input("rubric_grades") / "rubric.json"),
        has_incumbent=run.incumbent is not None,
        incumbent=_incumbent(run),
        training=training_summary(run.input("qlora_adapter")),
        provenance=provenance(run),
    )
    report = build_report(run.place.profile, measured, run.settings.report, run.settings.promotion)
    write_model(run.path / "report.json", report)
    (run.path / "report.html").write_text(render_report(report), encoding="utf-8")
    _draw(run, report)
    figures = report.perplexity
    run.describe(
        summary_en=report.summary_en,
        summary_zh=report.summary_zh,
        promote=report.decision.promote,
        base_perplexity=figures.base.value,
        tuned_perplexity=figures.tuned.value,
        relative_drop=figures.relative_drop,
        judge_price=report.cost.judge.price,
        instruction_following=report.instruction_following.status,
        report=FileLink("report.html"),
        report_data=FileLink("report.json"),
        **{name: Table(rows) for name, rows in report_tables(report).items()},
    )


def _draw(run: Run, report: Report) -> None:
    """The report's charts as pictures beside it; their labels are English (see support/charts.py)."""
    figures, preference = report.perplexity, report.instruction_following.preference
    charts.bars(
        run.picture("perplexity_chart"),
        "Perplexity of held-out completions",
        {arm: figures.of(arm).value for arm in ARMS},
        y_label="perplexity",
    )
    charts.histogram(
        run.picture("change_chart"),
        "Held-out rows by change of NLL, tuned - base",
        {"rows": [row.change for row in figures.examples if row.tokens]},
        x_label="nats per token",
    )
    verdicts = {
        name: {"tuned": each.wins, "tie": each.ties, "inconsistent": each.inconsistent, "base": each.losses}
        for name, each in preference
        if each.n
    }
    if verdicts:
        charts.stacked_bars(run.picture("verdicts_chart"), "Which arm is preferred", verdicts, x_label="verdicts")


def _incumbent(run: Run) -> IncumbentSection | None:
    """The report's section on the incumbent, of what was measured; None without one."""
    beside = run.input("perplexity_report") / "incumbent.json"
    if not beside.is_file():
        return None
    verdicts, answers = run.input("judgements") / "incumbent.json", run.input("model_answers")
    prompts, passed = read_jsonl(answers / "prompts.jsonl", Prompt), read_jsonl(answers / "rules.jsonl", RulesPassed)
    return incumbent_section(
        read_model(beside, IncumbentPerplexity),
        checks_of(prompts, passed, "instructions"),
        read_model(verdicts, Judged) if verdicts.is_file() else None,
    )


STAGES = (
    Stage(
        "eval_report",
        group="evaluation",
        code_version="7",
        make=eval_report,
        checks=checks.EVAL_REPORT,
        inputs=(
            "perplexity_report",
            "model_answers",
            "exam_report",
            "judgements",
            "rubric_grades",
            "human_review",
            "qlora_adapter",
        ),
        settings=("report", "promotion"),
        meets_incumbent=lambda settings: True,
    ),
)
