"""Perplexity, answers, judgements, human review and the report.

Belongs here: the five assets of the evaluation; those that load a model run it in a child process.
Does not: measuring, judging, statistics or the page (evaluation/).
"""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg

from medcot_pipeline.artifacts import FileLink, Manifest, Table
from medcot_pipeline.assets.promotion import find_incumbent
from medcot_pipeline.evaluation.answers.endpoint import ask_for_answers
from medcot_pipeline.evaluation.answers.figures import answer_figures
from medcot_pipeline.evaluation.answers.paired import rule_table
from medcot_pipeline.evaluation.answers.prompts import refuse_trained_prompts
from medcot_pipeline.evaluation.exams.files import require_exams
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.evaluation.people.joined import join_reviews
from medcot_pipeline.evaluation.people.pack import build_pack, render_page
from medcot_pipeline.evaluation.people.shown_packs import packs_shown
from medcot_pipeline.evaluation.perplexity.figures import definition_rows, incumbent_figures, perplexity_figures
from medcot_pipeline.evaluation.report.build import Answered, Measured, build_report
from medcot_pipeline.evaluation.report.incumbent import in_place_of_base, incumbent_section
from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline.evaluation.report.schema import IncumbentSection, Report
from medcot_pipeline.evaluation.report.tables import report_tables
from medcot_pipeline.orchestration.publication import AssetRun, asset_options, publish
from medcot_pipeline.pipeline.provenance import inputs_of, provenance, training_summary
from medcot_pipeline.records.answer_figures import AnswerFigures
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.judgement import Judged, NotJudged, PaidCalls, read_judge
from medcot_pipeline.records.perplexity import IncumbentPerplexity, PerplexityFigures
from medcot_pipeline.records.prompts import Prompt, read_prompts
from medcot_pipeline.records.provenance import Provenance, TrainingSummary
from medcot_pipeline.records.review import HumanReviews, Key, Pack
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.release.record import Adapter
from medcot_pipeline.settings import project_file
from medcot_pipeline.stages import Workspace, exam_files, review_files
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json, read_model, write_json, write_model
from medcot_pipeline.support.jsonl import read_jsonl, write_jsonl
from medcot_pipeline.support.table_files import read_parquet


@dg.asset(**asset_options("perplexity_report"))
def perplexity_report(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    pipes: dg.ResourceParam[dg.PipesSubprocessClient],
) -> dg.MaterializeResult:
    """Negative log-likelihood of both arms on the test rows, and the perplexities with their intervals."""
    settings = workspace.settings.perplexity
    with publish(context, workspace) as run:
        if not run.reused:
            splits = run.input("corpus_splits") / "rows.parquet"
            incumbent = find_incumbent(run)
            arguments = _model_arguments(run, incumbent) | {
                "settings": settings.model_dump(mode="json"),
                "splits": str(splits),
                "passages": str(project_file(settings.general_texts, workspace.root)),
            }
            exams = _ask_exams(run, pipes)
            measured = run.run_worker(pipes, "perplexity", arguments)
            examples = read_parquet(run.path / "examples.parquet")
            questions = dict(read_parquet(splits).select("row_id", "question").iter_rows())
            figures = perplexity_figures(
                examples,
                questions,
                settings,
                left_out=measured["left_out"],
                max_logit_difference=measured["max_logit_difference"],
            )
            if incumbent:
                beside = incumbent_figures(examples, read_parquet(run.path / "incumbent.parquet"), settings)
                record = IncumbentPerplexity(adapter=incumbent.fingerprint, **dict(beside))
                write_model(run.path / "incumbent.json", record)
                run.describe(incumbent=beside.incumbent.value, ratio_to_incumbent=beside.ratio.value)
            write_model(run.path / "perplexity.json", figures)
            write_model(run.path / "exams.json", exams)
            charts.bars(
                run.picture("perplexity"),
                f"Perplexity of held-out completions ({figures.rows} rows)",
                {arm: figures.of(arm).value for arm in ARMS},
                y_label="perplexity",
            )
            headline = (("base", figures.base), ("tuned", figures.tuned), ("ratio", figures.ratio))
            run.describe(
                base=figures.base.value,
                tuned=figures.tuned.value,
                ratio=figures.ratio.value,
                intervals=Table([{"figure": name, **dict(each)} for name, each in headline]),
                definitions=Table(
                    [
                        {"definition": row.definition, "base": row.base.value, "tuned": row.tuned.value}
                        for row in definition_rows(figures)
                    ]
                ),
                rows=figures.rows,
                left_out=figures.left_out,
                share_improved=figures.share_improved,
                exams=Table([score.model_dump() for score in exams.scores]),
                examples=FileLink("examples.parquet"),
            )
    return run.result()


@dg.asset(**asset_options("model_answers"))
def model_answers(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    pipes: dg.ResourceParam[dg.PipesSubprocessClient],
) -> dg.MaterializeResult:
    """Both arms' answers to the frozen prompts."""
    settings = workspace.settings.answers
    with publish(context, workspace) as run:
        if not run.reused:
            prompts = read_prompts(project_file(settings.prompts, workspace.root), settings.max_prompts)
            refuse_trained_prompts(prompts, read_parquet(run.input("corpus_splits") / "rows.parquet"))
            write_jsonl(run.path / "prompts.jsonl", prompts)
            seconds, changed = _write_answers(run, pipes, prompts)
            write_json(run.publication.aside("timings.json"), seconds)
            answers = read_jsonl(run.path / "answers.jsonl", Answer)
            figures = answer_figures(prompts, answers, settings.backend)
            write_model(run.path / "figures.json", figures)
            if changed:
                _say_what_is_not_taken(run, "the endpoint", changed)
            asked = {prompt.id: prompt.prompt for prompt in prompts}
            preview: list[dict[str, str | int | float | bool | None]] = [
                {
                    "prompt": asked[answer.prompt_id][:120],
                    "arm": answer.arm,
                    "answer": (answer.answer or answer.reasoning)[:200],
                    "closed": answer.closed,
                    "finished": answer.finished,
                }
                for answer in answers[:6]
            ]
            run.describe(
                prompts=len(prompts),
                prompts_sha256=figures.prompts_sha256,
                strata=Table([stratum.model_dump() for stratum in figures.strata]),
                backend=settings.backend,
                cut_at_token_limit=Table([figures.cut.model_dump()]),
                same_answer_in_both_arms=figures.same,
                preview=Table(preview),
                rules=Table([row.model_dump() for row in rule_table(prompts, answers)]),
                instructions=Table([{"checked": name, **dict(rates)} for name, rates in figures.instructions]),
                safety_queue=Table([vars(flag) for flag in figures.safety_queue]),
                answers=FileLink("answers.jsonl"),
            )
    return run.result()


@dg.asset(**asset_options("judgements"))
def judgements(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
    """AI verdicts in both orders, where a judge is configured, and the blind review page for people."""
    settings = workspace.settings
    with publish(context, workspace) as run:
        if not run.reused:
            upstream = run.input("model_answers")
            prompts, answers = (
                read_jsonl(upstream / "prompts.jsonl", Prompt),
                read_jsonl(upstream / "answers.jsonl", Answer),
            )
            judge = _judge(run, prompts, answers) if settings.judge.base_url else NotJudged()
            pack, key = build_pack(prompts, answers, settings.review.salt, settings.review.repeats)
            write_model(run.path / "judge.json", judge)
            write_model(run.path / "pack.json", pack)
            write_model(run.path / "key.json", key)
            (run.path / "review.html").write_text(render_page(pack), encoding="utf-8")
            run.describe(
                judge=judge.status,
                verdicts=len(judge.verdicts),
                review_items=len(pack.items),
                review_page=FileLink("review.html"),
            )
    return run.result()


@dg.asset(**asset_options("human_review"))
def human_review(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
    """The verdicts that people saved from the review page, joined with the sides, or "none yet"."""
    with publish(context, workspace) as run:
        if not run.reused:
            judged = run.input("judgements")
            outcome = join_reviews(
                review_files(workspace.settings, workspace.store.root),
                read_model(judged / "pack.json", Pack),
                read_model(judged / "key.json", Key),
                {verdict.prompt_id: verdict for verdict in read_judge(judged / "judge.json").verdicts},
                packs_shown(workspace),
            )
            human = outcome.record
            write_model(run.path / "human.json", human)
            for pack, key in outcome.second_looks:
                folder = run.path / f"second-look-{pack.pack[:8]}"
                write_model(folder / "pack.json", pack)
                write_model(folder / "key.json", key)
                (folder / "review.html").write_text(render_page(pack), encoding="utf-8")
            reviewers: list[dict[str, str | int | float | bool | None]] = [
                {
                    "reviewer": each.reviewer,
                    "verdicts": len(each.verdicts),
                    "missing": each.missing,
                    "second_look": each.second_look.items if each.second_look else 0,
                    "second_look_done": len(each.second_look.verdicts) if each.second_look else 0,
                }
                for each in human.reviewers
            ]
            run.describe(status=human.status, reviewers=Table(reviewers), of_earlier_answers=len(outcome.passed_over))
            for path in outcome.passed_over:
                run.say(f"{path.name} reviews earlier answers: passed over")
            for each in human.reviewers:
                if each.missing:
                    run.say(f"{each.reviewer}: {each.missing:,} items have no verdict")
    return run.result()


@dg.asset(**asset_options("eval_report"))
def eval_report(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
    """The report as data (`report.json`) and as a page (`report.html`)."""
    with publish(context, workspace) as run:
        if not run.reused:
            answers = run.input("model_answers")
            judged = run.input("judgements")
            paid = judged / "aside" / "paid.json"
            beside = run.input("perplexity_report") / "incumbent.json"
            measured = Measured(
                perplexity=read_model(run.input("perplexity_report") / "perplexity.json", PerplexityFigures),
                answered=Answered(
                    prompts=read_jsonl(answers / "prompts.jsonl", Prompt),
                    answers=read_jsonl(answers / "answers.jsonl", Answer),
                    figures=read_model(answers / "figures.json", AnswerFigures),
                    seconds=read_json(answers / "aside" / "timings.json"),
                ),
                judge=read_judge(judged / "judge.json"),
                paid=read_model(paid, PaidCalls) if paid.is_file() else None,
                human=read_model(run.input("human_review") / "human.json", HumanReviews),
                exams=read_model(run.input("perplexity_report") / "exams.json", Exams),
                incumbent=_incumbent(run, read_model(beside, IncumbentPerplexity)) if beside.is_file() else None,
                training=TrainingSummary.model_validate(training_summary(run.input("qlora_adapter"))),
                provenance=Provenance.model_validate(provenance(workspace, run.identity, inputs_of(run))),
            )
            report = build_report(workspace.profile, measured, workspace.settings.report)
            write_model(run.path / "report.json", report)
            (run.path / "report.html").write_text(render_report(report), encoding="utf-8")
            _draw(run, report)
            figures = report.perplexity
            run.describe(
                summary_zh=report.summary_zh,
                base_perplexity=figures.base.value,
                tuned_perplexity=figures.tuned.value,
                relative_drop=figures.relative_drop,
                instruction_following=report.instruction_following.status,
                report=FileLink("report.html"),
                report_data=FileLink("report.json"),
                **{name: Table(rows) for name, rows in report_tables(report).items()},
            )
    return run.result()


def _draw(run: AssetRun, report: Report) -> None:
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


def _judge(run: AssetRun, prompts: list[Prompt], answers: list[Answer]) -> Judged:
    """The judge's record over base and tuned; that over incumbent and tuned goes into a file of its own."""
    settings, cache = run.workspace.settings.judge, run.workspace.store.root / "cache" / "judge.jsonl"
    started = time.monotonic()
    outcome = judge_answers(prompts, answers, settings, cache, run.progress("judging"))
    asked, cached = outcome.paid.asked, outcome.paid.cached
    beside = run.input("model_answers") / "incumbent.jsonl"
    if beside.is_file():
        pair, progress = in_place_of_base(answers, read_jsonl(beside, Answer)), run.progress("judging the incumbent")
        against = judge_answers(prompts, pair, settings, cache, progress, probing=False)
        write_model(run.path / "incumbent.json", against.record(settings))
        asked, cached = asked + against.paid.asked, cached + against.paid.cached
    paid = PaidCalls(asked=asked, cached=cached, seconds=round(time.monotonic() - started, 1))
    write_model(run.publication.aside("paid.json"), paid)
    gates = Table([gate.model_dump() for gate in outcome.gates])
    run.describe(gates=gates, judge_calls=Table([{**dict(outcome.calls), **dict(paid)}]))
    if outcome.changed:
        _say_what_is_not_taken(run, "the judge", outcome.changed)
    for error, count in outcome.errors.items():
        run.say(f"the judge refused {count:,} calls ({error}): their prompts have no verdict")
    return outcome.record(settings)


def _say_what_is_not_taken(run: AssetRun, who: str, changed: Sequence[str]) -> None:
    """Note what was asked otherwise than set, since it can change what is answered."""
    run.describe(asked_otherwise=", ".join(changed))
    run.say(f"{who} does not take every option, and was asked {', '.join(changed)}")


def _model_arguments(run: AssetRun, incumbent: Manifest | None = None) -> dict[str, Any]:
    arguments = {"base_model": str(run.input("base_model")), "adapter": str(run.input("qlora_adapter"))}
    if incumbent:
        folder = Promoted(run.workspace.store.root).folder(Adapter.of(incumbent))
        arguments |= {"incumbent": str(folder)}
    return arguments


def _incumbent(run: AssetRun, perplexity: IncumbentPerplexity) -> IncumbentSection:
    """The report's section on the incumbent, of what was measured."""
    answers, verdicts = run.input("model_answers"), run.input("judgements") / "incumbent.json"
    beside = answers / "incumbent.jsonl"
    pair = None
    if beside.is_file():
        pair = in_place_of_base(read_jsonl(answers / "answers.jsonl", Answer), read_jsonl(beside, Answer))
    return incumbent_section(
        perplexity,
        read_jsonl(answers / "prompts.jsonl", Prompt),
        pair,
        read_model(verdicts, Judged) if verdicts.is_file() else None,
        run.workspace.settings.report,
    )


def _ask_exams(run: AssetRun, pipes: dg.PipesSubprocessClient) -> Exams:
    """Scores of both arms in the exams that are set, or "not measured"."""
    settings = run.workspace.settings.exams
    if settings.folder is None:
        return Exams()
    files = exam_files(run.workspace.settings, run.workspace.root)
    require_exams(settings.folder, files)
    arguments = _model_arguments(run) | {
        "settings": settings.model_dump(mode="json"),
        "splits": str(run.input("corpus_splits") / "rows.parquet"),
        "files": [str(path) for path in files],
    }
    return Exams(status="measured", **run.run_worker(pipes, "exams", arguments))


def _write_answers(
    run: AssetRun, pipes: dg.PipesSubprocessClient, prompts: list[Prompt]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Both arms' answers into answers.jsonl, from the loaded model or from the endpoint.

    Returns:
        Seconds by arm, and what the endpoint was asked otherwise than set, since it does not take it.
    """
    settings = run.workspace.settings.answers
    if settings.backend == "model":
        arguments = _model_arguments(run, find_incumbent(run)) | {
            "settings": settings.model_dump(mode="json", exclude={"endpoint"}),
            "prompts": str(run.path / "prompts.jsonl"),
            "work": str(run.work),
        }
        return dict(run.run_worker(pipes, "answers", arguments)["seconds"]), ()
    template = read_json(run.input("base_model") / "base_model.json")["generation_prompt"]
    generated = ask_for_answers(prompts, settings, run.work, run.say, generation_prompt=template)
    write_jsonl(run.path / "answers.jsonl", generated.answers)
    return {str(arm): seconds for arm, seconds in generated.seconds.items()}, generated.changed
