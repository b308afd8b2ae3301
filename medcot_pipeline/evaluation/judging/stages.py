"""The AI judge's verdicts.

Belongs here: the stage of the judge.
Does not belong here: asking and joining orders (judge.py), people's verdicts (people/).
"""

import time
from pathlib import Path

from medcot_pipeline.artifacts import Table
from medcot_pipeline.evaluation.judging import checks
from medcot_pipeline.evaluation.judging.judge import JudgeOutcome, judge_answers
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.judgement import Judged, NotJudged, PaidCalls
from medcot_pipeline.records.prompts import Prompt, of_set
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline.support.table_files import read_jsonl


def judgements(run: Run) -> None:
    """Which answer of each pair an AI judge prefers, asked in both orders, if a judge is configured; or two judges."""
    upstream = run.input("model_answers")
    prompts = of_set(read_jsonl(upstream / "prompts.jsonl", Prompt), "instructions")
    answers = read_jsonl(upstream / "answers.jsonl", Answer)
    judge = _judge(run, prompts, answers) if run.settings.judge.base_url else NotJudged()
    write_model(run.path / "judge.json", judge)
    run.describe(judge=judge.status, verdicts=len(judge.verdicts))
    if judge.status == "judged" and run.settings.judge.second.base_url:
        write_model(run.path / "second.json", _second_judge(run, prompts, answers, judge))


def _judge(run: Run, prompts: list[Prompt], answers: list[Answer]) -> Judged:
    """The judge's record over base and tuned; that over incumbent and tuned goes into a file of its own."""
    settings, cache = run.settings.judge, _cache(run)
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
    run.describe(prompt_tokens=outcome.tokens.prompt, completion_tokens=outcome.tokens.completion)
    run.describe(calls_asked=asked, calls_cached=cached)
    if outcome.changed:
        run.describe(asked_otherwise=", ".join(outcome.changed))
    _say_what_was_refused(run, "the judge", outcome)
    return outcome.record(settings)


def _second_judge(run: Run, prompts: list[Prompt], answers: list[Answer], first: Judged) -> Judged:
    """The second judge's record over base and tuned. It is probed as the first one is, and meets no incumbent."""
    settings, started = run.settings.judge.second, time.monotonic()
    outcome = judge_answers(prompts, answers, settings, _cache(run), run.progress("judging a second time"))
    paid = outcome.paid.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
    write_model(run.aside("second_paid.json"), paid)
    record = outcome.record(settings)
    same = sum(one.outcome == other.outcome for one, other in zip(first.verdicts, record.verdicts, strict=True))
    run.describe(
        second_gates=Table([gate.row() for gate in outcome.gates]),
        second_judge_calls=Table([{**dict(outcome.calls), **dict(paid)}]),
        same_verdicts=f"{same:,} of {len(record.verdicts):,}",
    )
    if outcome.changed:
        run.describe(second_asked_otherwise=", ".join(outcome.changed))
    _say_what_was_refused(run, "the second judge", outcome)
    if record.family == first.family:
        kin = "of unknown families" if record.family == "unknown" else f"both of the family {record.family}"
        run.say(
            f"the judges are {kin}: their agreement says less than that of unrelated judges "
            "(MEDCOT_JUDGE__FAMILY and MEDCOT_JUDGE__SECOND__FAMILY name who made them)"
        )
    return record


def _say_what_was_refused(run: Run, who: str, outcome: JudgeOutcome) -> None:
    if outcome.changed:
        run.say(f"{who} does not accept every option and was asked {', '.join(outcome.changed)}")
    for error, count in outcome.errors.items():
        run.say(f"{who} refused {count:,} calls ({error}): their prompts have no verdict")


def _cache(run: Run) -> Path:
    """Rulings of every judge; their keys hold address and model."""
    return run.place.data / "cache" / "judge.jsonl"


STAGES = (
    Stage(
        "judgements",
        group="evaluation",
        code_version="7",
        make=judgements,
        checks=checks.JUDGEMENTS,
        inputs=("model_answers",),
        settings=("judge", "judge.second"),
    ),
)
