"""One model's answers to the frozen prompts.

Belongs here: a prompt as a request to the engine, and what it wrote as an answer.
Does not: writing (inference/), answers from an endpoint (endpoint.py), judging an answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import THINK_OPEN, encode_prompt, render_prompt, split_written
from medcot_pipeline.evaluation.answers.given import Given
from medcot_pipeline.inference.requests import Continuation, Request, Sampling, request_seed
from medcot_pipeline.inference.writing import write_requests
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings, LocalEngineSettings
from medcot_pipeline.support.progress import Say


def generate_answers(
    base: Path,
    adapter: Path | None,
    prompts: Sequence[Prompt],
    settings: AnswerSettings,
    inference: LocalEngineSettings,
    work: Path,
    say: Say,
) -> Given:
    """Answers of one model; those that a killed run finished are read from `work`, not generated again.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None lets the base answer.
        prompts: prompts to answer.
        settings: sampling and lengths.
        inference: rows and memory of the engine.
        work: folder for the finished answers of this fingerprint alone.
        say: where progress goes.
    """
    quiet()
    tokenizer = load_tokenizer(base)
    arm: Arm = "tuned" if adapter else "base"
    requests = answer_requests(tokenizer, prompts, settings)
    written = write_requests(
        base,
        adapter,
        requests,
        tokenizer,
        inference,
        work,
        say,
        what="answers",
        limited_by="MEDCOT_ANSWERS__MAX_NEW_TOKENS",
    )
    return Given(
        [_answer(tokenizer, prompt, arm, each) for prompt, each in zip(prompts, written.continuations, strict=True)],
        written.seconds,
    )


def answer_requests(tokenizer: Any, prompts: Sequence[Prompt], settings: AnswerSettings) -> list[Request]:
    """What the engine is asked: the seed of a prompt is the same in every arm, whatever other prompts there are."""
    sampling = Sampling(settings.temperature, settings.top_p)
    return [
        Request(
            id=prompt.id,
            prompt_ids=tuple(encode_prompt(tokenizer, prompt.prompt)),
            sampling=sampling,
            seed=request_seed(settings.seed, prompt.id),
            max_tokens=settings.max_new_tokens,
        )
        for prompt in prompts
    ]


def _answer(tokenizer: Any, prompt: Prompt, arm: Arm, written: Continuation) -> Answer:
    opened = render_prompt(tokenizer, prompt.prompt).endswith(THINK_OPEN)
    text = split_written(tokenizer.decode(written.token_ids, skip_special_tokens=False), opened_by_prompt=opened)
    return Answer(
        prompt_id=prompt.id,
        arm=arm,
        reasoning=text.reasoning,
        answer=text.answer,
        closed=text.closed,
        finished=written.finished,
        tokens=len(written.token_ids) + written.finished,
    )
