"""The AI judge's verdicts.

Belongs here: the stage of the judge.
Does not: asking and joining orders (judge.py), people's verdicts (people/).
"""

import time

from medcot_pipeline.artifacts import Table
from medcot_pipeline.evaluation.judging import checks
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.judgement import Judged, NotJudged, PaidCalls
from medcot_pipeline.records.prompts import Prompt, of_set
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline.support.table_files import read_jsonl


def judgements(run: Run) -> None:
    """AI verdicts in both orders, where a judge is configured."""
    upstream = run.input("model_answers")
    prompts = of_set(read_jsonl(upstream / "prompts.jsonl", Prompt), "instructions")
    answers = read_jsonl(upstream / "answers.jsonl", Answer)
    judge = _judge(run, prompts, answers) if run.settings.judge.base_url else NotJudged()
    write_model(run.path / "judge.json", judge)
    run.describe(judge=judge.status, verdicts=len(judge.verdicts))


def _judge(run: Run, prompts: list[Prompt], answers: list[Answer]) -> Judged:
    """The judge's record over base and tuned; that over incumbent and tuned goes into a file of its own."""
    settings, cache = run.settings.judge, run.place.data / "cache" / "judge.jsonl"
    started = time.monotonic()
    outcome = judge_answers(prompts, answers, settings, cache, run.progress("judging"))
    asked, cached = outcome.paid.asked, outcome.paid.cached
    beside = run.input("model_answers") / "incumbent.jsonl"
    if beside.is_file():
        pair, progress = [*answers, *read_jsonl(beside, Answer)], run.progress("judging the incumbent")
        other = judge_answers(prompts, pair, settings, cache, progress, against="incumbent", probing=False)
        write_model(run.path / "incumbent.json", other.record(settings))
        asked, cached = asked + other.paid.asked, cached + other.paid.cached
    paid = PaidCalls(asked=asked, cached=cached, seconds=round(time.monotonic() - started, 1))
    write_model(run.aside("paid.json"), paid)
    gates = Table([gate.row() for gate in outcome.gates])
    run.describe(gates=gates, judge_calls=Table([{**dict(outcome.calls), **dict(paid)}]))
    if outcome.changed:
        run.describe(asked_otherwise=", ".join(outcome.changed))
        run.say(f"the judge does not take every option, and was asked {', '.join(outcome.changed)}")
    for error, count in outcome.errors.items():
        run.say(f"the judge refused {count:,} calls ({error}): their prompts have no verdict")
    return outcome.record(settings)


STAGES = (
    Stage(
        "judgements",
        group="evaluation",
        code_version="7",
        make=judgements,
        checks=checks.JUDGEMENTS,
        inputs=("model_answers",),
        settings=("judge",),
    ),
)
