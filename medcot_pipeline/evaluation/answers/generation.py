"""One model's answers to the frozen prompts.

Belongs here: generation, batch by batch.
Does not: the plan and its records (batches.py), answers from an endpoint (endpoint.py), judging an answer.
"""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import THINK_OPEN, encode_prompt, render_prompt, split_written
from medcot_pipeline.evaluation.answers.batches import Batch, BatchRecords, Generated, plan_batches
from medcot_pipeline.models.arms import load_arm, made_with
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.support.progress import Progress, Say


def generate_answers(
    base: Path,
    adapter: Path | None,
    prompts: Sequence[Prompt],
    settings: AnswerSettings,
    work: Path,
    say: Say,
) -> Generated:
    """Answers of one model; batches that a killed run finished are read from `work`, not generated again.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None lets the base answer.
        prompts: prompts to answer.
        settings: sampling, lengths and batch size.
        work: folder for the finished batches of this fingerprint alone.
        say: where progress goes.
    """
    quiet()
    records = BatchRecords(
        work, plan_batches(prompts, settings.batch_size, "tuned" if adapter else "base"), made_with(), say
    )
    if records.open:
        tokenizer, model = load_tokenizer(base), load_arm(base, adapter)
        ends = end_tokens(tokenizer, model.generation_config)
        if len(ends) > 1:
            say(f"an answer ends at any of {', '.join(tokenizer.convert_ids_to_tokens(ends))}: the first is learned")
        progress = Progress("answers", say)
        total = len(records.open) * settings.max_new_tokens
        for done, batch in enumerate(records.open):
            tick = _ticker(progress, done * settings.max_new_tokens, total, batch)
            started = time.monotonic()
            answers = _generate(model, tokenizer, ends, batch, settings, tick)
            records.finish(batch, answers, time.monotonic() - started)
    return records.collect()


def end_tokens(tokenizer: Any, generation: Any) -> list[int]:
    """The tokenizer's end token, which training teaches, and behind it the others that the model was made to end with.

    Without those the base would run on where it ends by a token of its own. Args: generation: the `GenerationConfig`.
    """
    others = generation.eos_token_id
    others = others if isinstance(others, list) else [others]
    return list(dict.fromkeys([tokenizer.eos_token_id, *(token for token in others if token is not None)]))


def until_end(tokens: Sequence[int], ends: Collection[int]) -> tuple[list[int], bool]:
    """The tokens before the first end token, and whether there is one; what follows it fills up the batch."""
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    return list(tokens[:end]), end is not None


def _generate(
    model: Any, tokenizer: Any, ends: list[int], batch: Batch, settings: AnswerSettings, tick: Any
) -> list[Answer]:
    import torch
    from transformers import StoppingCriteriaList

    encoded = [encode_prompt(tokenizer, prompt.prompt) for prompt in batch.prompts]
    width = max(len(ids) for ids in encoded)
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in encoded], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in encoded], device=model.device)
    sampling: dict[str, Any] = {"do_sample": False}
    if settings.temperature > 0:
        sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    torch.manual_seed(batch.seed(settings.seed))
    with torch.no_grad():
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=ends,
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([tick]),
            **sampling,
        )
    return [
        _answer(tokenizer, ends, prompt, batch.arm, row[width:].tolist())
        for prompt, row in zip(batch.prompts, output, strict=True)
    ]


def _answer(tokenizer: Any, ends: list[int], prompt: Prompt, arm: Arm, ids: list[int]) -> Answer:
    written, finished = until_end(ids, ends)
    opened = render_prompt(tokenizer, prompt.prompt).endswith(THINK_OPEN)
    text = split_written(tokenizer.decode(written, skip_special_tokens=False), opened_by_prompt=opened)
    return Answer(
        prompt_id=prompt.id,
        arm=arm,
        reasoning=text.reasoning,
        answer=text.answer,
        closed=text.closed,
        finished=finished,
        tokens=len(written) + finished,
    )


def _ticker(progress: Progress, before: int, total: int, batch: Batch) -> Any:
    """A stopping criterion that never stops: it is the one place that sees every generated token go by."""
    import torch

    written = 0

    def tick(ids: Any, scores: Any, **_: Any) -> Any:
        nonlocal written
        written += 1
        progress(before + written, total, f"tokens of batch {batch.name}")
        return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

    return tick
