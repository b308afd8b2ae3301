"""Both arms' answers to the frozen prompts, from one loaded model.

Belongs here: the frozen batch plan, seeds, generation, records that survive a kill.
Does not: judging an answer (rules.py, judge.py).
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import THINK_OPEN, encode_prompt, render_prompt, split_written
from medcot_pipeline.evaluation.records import ARMS, Answer, Arm, Prompt
from medcot_pipeline.models.load import as_arm, load_arms, load_tokenizer, quiet
from medcot_pipeline.progress import Progress, Say
from medcot_pipeline.settings import AnswerSettings


@dataclasses.dataclass(frozen=True)
class Generated:
    """Answers in the order of the plan, and the seconds that each arm took for them."""

    answers: list[Answer]
    seconds: dict[Arm, float]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Prompts that are generated together; a sampled answer depends on its batch, so the plan is part of the result."""

    arm: Arm
    number: int
    prompts: tuple[Prompt, ...]

    @property
    def name(self) -> str:
        """Identity within a run."""
        return f"{self.arm}-{self.number:04d}"

    def seed(self, run_seed: int) -> int:
        """The same seed for the same batch of both arms."""
        digest = hashlib.sha256(f"{run_seed}\0{self.number}".encode()).hexdigest()
        return int(digest[:8], 16)


def plan_batches(prompts: Sequence[Prompt], size: int) -> list[Batch]:
    """The frozen plan: prompts in file order, `size` at a time, both arms of a batch one after the other."""
    starts = range(0, len(prompts), size)
    return [
        Batch(arm, number, tuple(prompts[start : start + size])) for number, start in enumerate(starts) for arm in ARMS
    ]


def generate_answers(
    base: Path, adapter: Path, prompts: Sequence[Prompt], settings: AnswerSettings, work: Path, say: Say
) -> Generated:
    """Answers of both arms; batches that a killed run finished are read from `work`, not generated again.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        prompts: prompts to answer.
        settings: sampling, lengths and batch size.
        work: folder for the finished batches of this fingerprint alone.
        say: where progress goes.
    """
    quiet()
    work.mkdir(parents=True, exist_ok=True)
    plan = plan_batches(prompts, settings.batch_size)
    open_batches = [batch for batch in plan if not (work / f"{batch.name}.json").is_file()]
    if len(open_batches) < len(plan):
        say(f"{len(plan) - len(open_batches)} of {len(plan)} batches were finished before")
    if open_batches:
        tokenizer = load_tokenizer(base)
        model = load_arms(base, adapter)
        progress = Progress("answers", say)
        total = len(open_batches) * settings.max_new_tokens
        for done, batch in enumerate(open_batches):
            tick = _ticker(progress, done * settings.max_new_tokens, total, batch)
            started = time.monotonic()
            answers = _generate(model, tokenizer, batch, settings, tick)
            _finish(work, batch, answers, time.monotonic() - started)
    return _collect(work, plan)


def _generate(model: Any, tokenizer: Any, batch: Batch, settings: AnswerSettings, tick: Any) -> list[Answer]:
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
    with torch.no_grad(), as_arm(model, batch.arm) as arm_model:
        output = arm_model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([tick]),
            **sampling,
        )
    return [
        _answer(tokenizer, prompt, batch.arm, row[width:].tolist())
        for prompt, row in zip(batch.prompts, output, strict=True)
    ]


def _answer(tokenizer: Any, prompt: Prompt, arm: Arm, ids: list[int]) -> Answer:
    finished = tokenizer.eos_token_id in ids
    written = ids[: ids.index(tokenizer.eos_token_id)] if finished else ids
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


def _finish(work: Path, batch: Batch, answers: list[Answer], seconds: float) -> None:
    """Write a finished batch in one step: it is either whole or not there."""
    temporary = work / f".{batch.name}.json"
    with temporary.open("w", encoding="utf-8") as file:
        record = {"seconds": seconds, "answers": [dataclasses.asdict(answer) for answer in answers]}
        json.dump(record, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(work / f"{batch.name}.json")


def _collect(work: Path, plan: Sequence[Batch]) -> Generated:
    answers: list[Answer] = []
    seconds: dict[Arm, float] = dict.fromkeys(ARMS, 0.0)
    for batch in plan:
        record = json.loads((work / f"{batch.name}.json").read_text(encoding="utf-8"))
        answers += [Answer(**answer) for answer in record["answers"]]
        seconds[batch.arm] += record["seconds"]
    return Generated(answers, seconds)
