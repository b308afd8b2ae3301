"""Answers from an OpenAI-compatible endpoint that serves base and tuned under two names.

Belongs here: which calls are made, and reading a completion as an answer.
Does not: the client (inference/), keeping answers (given.py), the judge's calls (evaluation/judging/calls.py).

Both arms come from the one endpoint: precision and sampling are its own, and answers of two backends are never mixed.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from medcot_pipeline.chat import PLACEHOLDER, THINK_OPEN, split_written
from medcot_pipeline.evaluation.answers.given import Given, KeptAnswers
from medcot_pipeline.inference.requests import request_seed
from medcot_pipeline.inference.served.calls import Unanswered, ask_each
from medcot_pipeline.inference.served.endpoint import CallFailed, Endpoint, OptionRefused, open_endpoint
from medcot_pipeline.inference.served.replies import Completion
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say


def ask_for_answers(
    prompts: Sequence[Prompt], arm: Arm, settings: AnswerSettings, work: Path, say: Say, *, generation_prompt: str
) -> Given:
    """Answers of one arm, one call per prompt, with a seed of its own.

    Every answer that came is in `work` before its place is given to the next: a run that fails or is killed goes on
    behind them.

    Args:
        prompts: prompts to answer.
        arm: `base` or `tuned`, each a name at the endpoint.
        settings: sampling, lengths, and the endpoint.
        work: folder for the finished answers of this fingerprint alone.
        say: where progress goes.
        generation_prompt: what the model's chat template makes of a question, `PLACEHOLDER` in the question's place.

    Raises:
        MedcotError: the endpoint is not there or lacks a model, or answers did not come.
    """
    endpoint = settings.endpoint
    made_with = endpoint.model_dump(mode="json", include={f"{arm}_model"})
    kept = KeptAnswers(work, made_with, say)
    if left := kept.open(prompts):
        asyncio.run(_ask_all(left, arm, kept, settings, say, generation_prompt))
    return kept.collect(prompts)


async def _ask_all(
    prompts: Sequence[Prompt], arm: Arm, kept: KeptAnswers, settings: AnswerSettings, say: Say, generation_prompt: str
) -> None:
    there, progress = settings.endpoint, Progress("answers", say)
    async with open_endpoint(there) as endpoint:
        await _find_models(endpoint, settings, say)

        async def ask(prompt: Prompt) -> None:
            started = time.monotonic()
            completion = await _ask(endpoint, settings, prompt, arm)
            answer = _answer(prompt, arm, completion, generation_prompt)
            kept.keep(answer, time.monotonic() - started, completion.changed)

        total = len(prompts)
        left = await ask_each(prompts, ask, there.concurrency, lambda done: progress(done, total, "answers"))
    if left:
        raise _did_not_come(left, total, arm, settings)


def _did_not_come(left: Unanswered[Prompt], total: int, arm: Arm, settings: AnswerSettings) -> MedcotError:
    first, error = left.failed[0]
    way_out = "Run `medcot sync` again: the answers that came are kept and not asked for again."
    if isinstance(error, OptionRefused) and error.option == "max_tokens":
        way_out = f"Set MEDCOT_ANSWERS__MAX_NEW_TOKENS below {settings.max_new_tokens:,}, for both arms."
    return MedcotError(
        f"MEDCOT_ANSWERS__ENDPOINT__BASE_URL={settings.endpoint.base_url}: {len(left):,} of {total:,} answers did not "
        f"come ({left.counts()}). The first is {first.id} ({arm}): {error}.",
        way_out,
    )


async def _find_models(endpoint: Endpoint, settings: AnswerSettings, say: Say) -> None:
    """Both names are held against the endpoint's list: some servers answer to any name with the one model they have."""
    there = settings.endpoint
    try:
        served = await endpoint.models()
    except CallFailed as error:
        raise MedcotError(
            f"MEDCOT_ANSWERS__ENDPOINT__BASE_URL={there.base_url} does not list its models ({error}).",
            "Start the endpoint, or correct the address or MEDCOT_ANSWERS__ENDPOINT__API_KEY.",
        ) from None
    if served is None:
        say("the endpoint has no list of models: whether it serves both names shows in what it answers")
        return
    for setting in ("base_model", "tuned_model"):
        name = getattr(there, setting)
        if name not in served:
            raise MedcotError(
                f"{there.base_url} serves no model {name!r} (it serves {', '.join(served[:20]) or 'none'}).",
                f"Serve it there, or correct MEDCOT_ANSWERS__ENDPOINT__{setting.upper()}.",
            )


async def _ask(endpoint: Endpoint, settings: AnswerSettings, prompt: Prompt, arm: Arm) -> Completion:
    return await endpoint.complete(
        settings.endpoint.base_model if arm == "base" else settings.endpoint.tuned_model,
        [{"role": "user", "content": prompt.prompt}],
        max_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=request_seed(settings.seed, prompt.id),
    )


def _answer(prompt: Prompt, arm: Arm, completion: Completion, generation_prompt: str) -> Answer:
    """A server that parses reasoning gives it apart (`reasoning_content`); elsewhere it stands in the text.

    Where reasoning was cut, some servers give the prompt as content: that is no answer.
    """
    asked = generation_prompt.removesuffix(THINK_OPEN).replace(PLACEHOLDER, prompt.prompt)
    content, apart = completion.text.removeprefix(asked), completion.reasoning
    if apart:
        content = f"{apart}\n</think>\n\n{content}" if content.strip() else apart
    written = split_written(content, opened_by_prompt=generation_prompt.endswith(THINK_OPEN) or bool(apart))
    return Answer(
        prompt_id=prompt.id,
        arm=arm,
        reasoning=written.reasoning,
        answer=written.answer,
        closed=written.closed,
        finished=completion.finish == "stop",
        tokens=completion.completion_tokens,
    )
