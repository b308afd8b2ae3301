"""Both arms' answers from an OpenAI-compatible endpoint that serves base and tuned under two names.

Belongs here: the calls, and reading a response as an answer.
Does not: the plan and its records (batches.py), the judge's calls (judge_calls.py).

Both arms come from the one endpoint: precision and sampling are its own, and answers of two backends are never mixed.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcot_pipeline.chat import PLACEHOLDER, THINK_OPEN, split_written
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.batches import Batch, BatchRecords, Generated, plan_batches
from medcot_pipeline.evaluation.records import Answer, Prompt
from medcot_pipeline.progress import Progress, Say
from medcot_pipeline.settings import AnswerSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

GIVE_UP_AFTER = 10
"""Failures in a row after which nothing more is asked."""


def ask_for_answers(
    prompts: Sequence[Prompt], settings: AnswerSettings, work: Path, say: Say, *, generation_prompt: str
) -> Generated:
    """Answers of both arms, one call per prompt and arm, with the seed of its place in the plan.

    A call ends after `(max_retries + 1) * timeout_s` whatever the endpoint does. Every answer that came is in `work`
    before its place is given to the next: a run that fails or is killed goes on behind them.

    Args:
        prompts: prompts to answer.
        settings: sampling, lengths, and the endpoint.
        work: folder for the finished answers of this fingerprint alone.
        say: where progress goes.
        generation_prompt: what the model's chat template makes of a question, `PLACEHOLDER` in the question's place.

    Raises:
        MedcotError: the endpoint is not there or lacks a model, or calls failed after their retries.
    """
    endpoint = settings.endpoint
    made_with = endpoint.model_dump(mode="json", include={"base_model", "tuned_model"})
    records = BatchRecords(work, plan_batches(prompts, 1), made_with, say)
    if records.open:
        asyncio.run(_ask_all(records, settings, Progress("answers", say), generation_prompt))
    return records.collect()


async def _ask_all(records: BatchRecords, settings: AnswerSettings, progress: Progress, generation_prompt: str) -> None:
    import openai

    endpoint = settings.endpoint
    turn, errors, in_a_row, done = asyncio.Semaphore(endpoint.concurrency), dict[str, Exception](), 0, 0
    async with openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        timeout=endpoint.timeout_s,
        max_retries=endpoint.max_retries,
    ) as client:
        await _find_models(client, settings)

        async def ask(batch: Batch) -> None:
            nonlocal in_a_row, done
            async with turn:
                if in_a_row >= GIVE_UP_AFTER:
                    return
                started = time.monotonic()
                try:
                    async with asyncio.timeout((endpoint.max_retries + 1) * endpoint.timeout_s):
                        answer = await _ask(client, settings, batch, generation_prompt)
                except (openai.OpenAIError, ValueError, TimeoutError) as error:
                    errors[_named(batch)] = error
                    in_a_row += 1
                else:
                    records.finish(batch, [answer], time.monotonic() - started)
                    in_a_row = 0
            done += 1
            progress(done, len(records.open), "answers, both arms")

        await asyncio.gather(*(ask(batch) for batch in records.open))
    if errors:
        first = next(name for batch in records.open if (name := _named(batch)) in errors)
        asked = "" if in_a_row < GIVE_UP_AFTER else f"; after {GIVE_UP_AFTER} in a row no more were asked"
        raise MedcotError(
            f"{endpoint.base_url}: {len(errors):,} of {len(records.open):,} answers did not come{asked}. "
            f"The first is {first}: {type(errors[first]).__name__}.",
            "Run `medcot sync` again: the answers that came are kept and not asked for again.",
        )


def _named(batch: Batch) -> str:
    return f"{batch.prompts[0].id} ({batch.arm})"


async def _find_models(client: "AsyncOpenAI", settings: AnswerSettings) -> None:
    """Both names are held against the endpoint's list: some servers answer to any name with the one model they have."""
    import openai

    endpoint = settings.endpoint
    try:
        served = sorted([model.id async for model in client.models.list()])
    except openai.OpenAIError as error:
        raise MedcotError(
            f"MEDCOT_ANSWERS__ENDPOINT__BASE_URL={endpoint.base_url} does not list its models "
            f"({type(error).__name__}).",
            "Start the endpoint, or correct the address or MEDCOT_ANSWERS__ENDPOINT__API_KEY.",
        ) from error
    for setting in ("base_model", "tuned_model"):
        name = getattr(endpoint, setting)
        if name not in served:
            raise MedcotError(
                f"{endpoint.base_url} serves no model {name!r} (it serves {', '.join(served) or 'none'}).",
                f"Serve it there, or correct MEDCOT_ANSWERS__ENDPOINT__{setting.upper()}.",
            )


async def _ask(client: "AsyncOpenAI", settings: AnswerSettings, batch: Batch, generation_prompt: str) -> Answer:
    (prompt,) = batch.prompts
    response = await client.chat.completions.create(
        model=settings.endpoint.base_model if batch.arm == "base" else settings.endpoint.tuned_model,
        messages=[{"role": "user", "content": prompt.prompt}],
        max_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=batch.seed(settings.seed),
    )
    choices = getattr(response, "choices", None)
    if not choices or not choices[0].message:
        raise ValueError("no completion in the response")
    return _answer(batch, choices[0], response.usage, generation_prompt)


def _answer(batch: Batch, choice: Any, usage: Any, generation_prompt: str) -> Answer:
    """A server that parses reasoning gives it apart (`reasoning_content`); elsewhere it stands in the text.

    Where reasoning was cut, some servers give the prompt as content: that is no answer.
    """
    (prompt,) = batch.prompts
    asked = generation_prompt.removesuffix(THINK_OPEN).replace(PLACEHOLDER, prompt.prompt)
    content = (choice.message.content or "").removeprefix(asked)
    apart = getattr(choice.message, "reasoning_content", None) or getattr(choice.message, "reasoning", None)
    if apart:
        content = f"{apart}\n</think>\n\n{content}" if content.strip() else apart
    opened = generation_prompt.endswith(THINK_OPEN) or bool(apart)
    written = split_written(content, opened_by_prompt=opened)
    return Answer(
        prompt_id=prompt.id,
        arm=batch.arm,
        reasoning=written.reasoning,
        answer=written.answer,
        closed=written.closed,
        finished=choice.finish_reason == "stop",
        tokens=usage.completion_tokens if usage else 0,
    )
