"""What base and tuned model write for the frozen prompts.

Belongs here: the stages that ask one model each, and the one that puts the answers side by side.
Does not belong here: generating (generation.py), rules and flags (rules/, safety/), verdicts (judging/, people/).
"""

import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.answers import checks
from medcot_pipeline.evaluation.answers.figures import answer_figures
from medcot_pipeline.evaluation.answers.generation import generate_answers, served_model
from medcot_pipeline.evaluation.answers.job import ANSWERS, PROMPTS, GenerateAnswers, generate
from medcot_pipeline.evaluation.answers.paired import check_answers, rule_table
from medcot_pipeline.evaluation.answers.prompts import (
    asked_prompts,
    prompt_files,
    prompts_sha256,
    refuse_trained_prompts,
)
from medcot_pipeline.evaluation.answers.rules import refuse_wrong_constraints
from medcot_pipeline.evaluation.answers.safety.triage import action_rows, advised_actions
from medcot_pipeline.pipeline.alike import MADE_WITH
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.answers import Answer, writing_rate
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import engine_settings
from medcot_pipeline.support.json_files import read_json, write_json, write_model
from medcot_pipeline.support.table_files import read_jsonl, read_parquet, write_jsonl

GROUP = "evaluation"
TIMINGS = "timings.json"
INCUMBENT_ANSWERS = "incumbent.jsonl"
RULES = "rules.jsonl"
"""Which rules every answer passes."""
ACTIONS = "actions.jsonl"
"""Which action every answer to the set emergencies advises, of every arm."""


def base_answers(run: Run) -> None:
    """The base model's answers to the frozen prompts, written once for all adapters."""
    _measure(run, None)


def tuned_answers(run: Run) -> None:
    """The answers of the base model with the adapter to the same prompts."""
    _measure(run, run.input("qlora_adapter"))


def _measure(run: Run, adapter: Path | None) -> None:
    settings = run.settings.answers
    prompts = asked_prompts(settings, run.root)
    refuse_wrong_constraints(prompts)
    refuse_trained_prompts(prompts, read_parquet(run.input("corpus_splits") / "rows.parquet"))
    write_jsonl(run.path / PROMPTS, prompts)
    asked = _generate(run, adapter) if settings.backend == "model" else _ask(run, prompts, adapter)
    write_json(run.path / MADE_WITH, asked["made_with"])
    write_json(run.aside(TIMINGS), asked["seconds"])
    answers = read_jsonl(run.path / ANSWERS, Answer)
    tokens, rate = writing_rate(answers, asked["seconds"])
    run.describe(
        prompts=len(prompts),
        prompts_sha256=prompts_sha256(prompts),
        cut_at_token_limit=sum(not answer.finished for answer in answers),
        tokens=tokens,
        writing_seconds=asked["seconds"],
        tokens_per_second=rate,
        made_with=Table([asked["made_with"]]),
        preview=Table(_preview(prompts, answers)),
        answers=FileLink(ANSWERS),
    )


def _generate(run: Run, adapter: Path | None) -> dict[str, Any]:
    """Answers of the loaded model into `ANSWERS`."""
    arguments = GenerateAnswers(
        settings=run.settings.answers,
        inference=engine_settings(run.settings),
        base_model=run.input("base_model"),
        adapter=adapter,
        hashes=run.place.store.hashes.memory,
        out=run.path,
        work=run.work,
    )
    return run.job(generate, arguments)


def _ask(run: Run, prompts: list[Prompt], adapter: Path | None) -> dict[str, Any]:
    """Answers of the endpoint into `ANSWERS`."""
    settings = run.settings.answers
    arm: Arm = "tuned" if adapter else "base"
    template = read_json(run.input("base_model") / "base_model.json")["generation_prompt"]
    model = served_model(settings, arm, template)
    given = generate_answers(model, arm, prompts, settings, run.work, run.say)
    write_jsonl(run.path / ANSWERS, given.answers)
    write_json(run.aside(checks.SERVED), given.served)
    if uncounted := sum(answer.tokens is None for answer in given.answers):
        run.say(f"the endpoint did not count the tokens of {uncounted:,} answers: their lengths are not known")
    if given.changed:
        run.describe(asked_otherwise=", ".join(given.changed))
        run.say(f"the endpoint does not accept every option and was asked {', '.join(given.changed)}")
    made_with = {"engine": "endpoint", "base_url": settings.endpoint.base_url, "changed": ", ".join(given.changed)}
    return {"seconds": given.seconds, "made_with": made_with}


def model_answers(run: Run) -> None:
    """The answers of both models side by side, with the outcome of every automatic rule and safety flag."""
    base, tuned = run.input("base_answers"), run.input("tuned_answers")
    prompts = read_jsonl(base / PROMPTS, Prompt)
    answers = _in_turn(read_jsonl(base / ANSWERS, Answer), read_jsonl(tuned / ANSWERS, Answer))
    write_jsonl(run.path / PROMPTS, prompts)
    write_jsonl(run.path / ANSWERS, answers)
    timings = {arm: read_json(folder / "aside" / TIMINGS) for arm, folder in (("base", base), ("tuned", tuned))}
    write_json(run.aside(TIMINGS), timings)
    beside: list[Answer] = []
    if incumbent := run.over_incumbent("tuned_answers"):
        beside = [dataclasses.replace(each, arm="incumbent") for each in read_jsonl(incumbent / ANSWERS, Answer)]
        write_jsonl(run.path / INCUMBENT_ANSWERS, beside)
    checks = check_answers(prompts, [*answers, *beside])
    write_jsonl(run.path / RULES, checks)
    write_jsonl(run.path / ACTIONS, advised_actions(prompts, [*answers, *beside]))
    figures = answer_figures(prompts, answers, checks, run.settings.answers.backend)
    write_model(run.path / "figures.json", figures)
    run.describe(
        prompts=len(prompts),
        prompts_sha256=figures.prompts_sha256,
        strata=Table([stratum.model_dump() for stratum in figures.strata]),
        backend=run.settings.answers.backend,
        cut_at_token_limit=Table([figures.cut.model_dump()]),
        same_answer_in_both_arms=figures.same,
        preview=Table(_preview(prompts, answers)),
        rules=Table([row.model_dump() for row in rule_table(checks)]),
        instructions=Table([{"checked": name, **dict(rates)} for name, rates in figures.instructions]),
        actions=Table(action_rows(figures.actions)),
        safety_flags=len(figures.safety_queue),
        safety_queue=Table([vars(flag) for flag in figures.safety_queue]),
        answers=FileLink(ANSWERS),
    )


def _in_turn(base: list[Answer], tuned: list[Answer]) -> list[Answer]:
    """Both answers to a prompt one after the other, in the order of the prompts."""
    return [answer for pair in zip(base, tuned, strict=True) for answer in pair]


def _preview(prompts: list[Prompt], answers: list[Answer]) -> list[dict[str, Any]]:
    asked = {prompt.id: prompt.prompt for prompt in prompts}
    return [
        {
            "prompt": asked[answer.prompt_id][:120],
            "arm": answer.arm,
            "answer": (answer.answer or answer.reasoning)[:200],
            "closed": answer.closed,
            "finished": answer.finished,
        }
        for answer in answers[:6]
    ]


def prompts_outside(place: Place) -> list[OutsideFile]:
    """The files of prompts; that of the frozen instructions has no name, as in earlier releases."""
    files = prompt_files(place.settings.answers, place.root)
    return [OutsideFile("prompts", path, "" if name == "instructions" else name) for name, path in files.items()]


STAGES = (
    Stage(
        "base_answers",
        group=GROUP,
        kinds=("pytorch",),
        code_version="2",
        make=base_answers,
        checks=checks.MEASURED,
        inputs=("base_model", "corpus_splits"),
        settings=("answers", "answers.endpoint.base_url", "answers.endpoint.base_model"),
        files=prompts_outside,
        loads_model=True,
    ),
    Stage(
        "tuned_answers",
        group=GROUP,
        kinds=("pytorch",),
        code_version="2",
        make=tuned_answers,
        checks=checks.MEASURED,
        inputs=("qlora_adapter", "base_model", "corpus_splits"),
        settings=("answers", "answers.endpoint.base_url", "answers.endpoint.tuned_model"),
        files=prompts_outside,
        loads_model=True,
    ),
    Stage(
        "model_answers",
        group=GROUP,
        code_version="7",
        make=model_answers,
        checks=checks.COMPARED,
        inputs=("base_answers", "tuned_answers"),
        settings=("answers.backend",),
        loads_model=True,
        compares=("base_answers", "tuned_answers"),
        meets_incumbent=lambda settings: settings.answers.backend == "model",
    ),
)
