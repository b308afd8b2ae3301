"""The model on its device: weights, cache and the lines of the rows, and what is computed with them.

On a CPU a request's tokens depend on the request alone, to the bit. On a GPU the noise does; sums are rounded by the
number of rows that run, so that two nearly equal logits may change places.

Belongs here: reading prompts, taking steps, recording them, moving state to the device and back.
Does not belong here: which requests run (engine.py), one step (forward.py), how much fits (plan.py).
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from medcot_pipeline.inference.local.forward import decode_step, prefill
from medcot_pipeline.inference.local.graphs import record_steps, row_counts
from medcot_pipeline.inference.local.measured import blocks_left, make_cache, try_out
from medcot_pipeline.inference.local.plan import EnginePlan, padded
from medcot_pipeline.inference.local.rows import TABLE, TOKEN, Row, fill_lines
from medcot_pipeline.inference.local.weights import take_weights
from medcot_pipeline.models.devices import memory_line
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say


class ModelRunner:
    """Computes the next tokens of rows with one loaded model, with its adapter or without.

    Attributes:
        plan: rows, blocks and lengths.
        weights: the model's.
        cache: keys and values of all rows.
        rows: that have a place at once; fewer than planned where memory ran out.
        on_gpu: whether it runs on one.
        record_seconds: that recording steps took.
    """

    def __init__(self, model: Any, plan: EnginePlan, say: Say, *, graphs: bool) -> None:
        """Take a loaded model apart and make the cache.

        Args:
            model: of transformers, or one of PEFT around it; cannot be used afterwards.
            plan: rows and cache.
            say: told what is smaller than planned.
            graphs: record decoding steps on a GPU (packed weights never are: unpacking them takes longer).

        Raises:
            MedcotError: the model or its adapter is not known here, or nothing fits.
        """
        import torch

        self.plan, self._say = plan, say
        self.on_gpu = next(model.parameters()).device.type == "cuda"
        dtype = torch.bfloat16 if self.on_gpu else torch.float32
        self.weights = take_weights(model, dtype, plan.row_tokens, keep_nf4=plan.keep_nf4)
        self._operations = _operations(on_gpu=self.on_gpu)
        self._record = graphs and self.on_gpu and not plan.keep_nf4
        self._recorded: dict[bool, dict[int, Any]] = {}
        self._pool: Any = None
        self.record_seconds = 0.0
        self.rows = plan.rows
        width = TABLE + plan.row_blocks
        self._lines = torch.zeros(plan.rows, width, dtype=torch.int32, pin_memory=self.on_gpu)
        self._state = torch.zeros(plan.rows, width, dtype=torch.int32, device=self.weights.device)
        self._history = torch.zeros(plan.steps, plan.rows, dtype=torch.int32, device=self.weights.device)
        self.cache = make_cache(self.weights, plan, self._blocks_left(), say)

    def read_prompts(self, group: Sequence[Row], *, adapter: bool) -> list[int]:
        """Prefill some rows, which have their blocks; the next token of each."""
        import torch

        device, cache = self.weights.device, self.cache
        tokens = [row.ids for row in group]
        width = max(map(len, tokens))
        width = min(padded(width), len(self.weights.cos)) if self.on_gpu else width
        ids = torch.tensor([each + [0] * (width - len(each)) for each in tokens], device=device)
        places = [
            place
            for row, each in zip(group, tokens, strict=True)
            for place in cache.places(row.blocks, len(each)) + [0] * (width - len(each))
        ]
        lasts = torch.tensor([len(each) - 1 for each in tokens], device=device)
        at = torch.tensor(places, device=device)
        logits = prefill(self.weights, cache, ids, at, lasts, adapter=adapter)
        fill_lines(self._lines.numpy(), group)
        chosen: list[int] = self._operations.choose(logits, self._lines[: len(group)].to(device)).tolist()
        return chosen

    def take_steps(self, running: Sequence[Row], *, adapter: bool) -> list[list[int]]:
        """Some decoding steps of all rows; for each step the token of each row."""
        recorded = self._recorded.get(adapter)
        count = self.rows
        if self.on_gpu:
            count = min(each for each in recorded or row_counts(self.rows) if each >= len(running))
        fill_lines(self._lines.numpy(), running)
        self._lines[len(running) : count] = 0
        state = self._state[:count]
        state.copy_(self._lines[:count], non_blocking=True)
        for number in range(self.plan.steps):
            if recorded:
                recorded[count].replay()
            else:
                decode_step(self.weights, self.cache, state, self._operations, adapter=adapter)
            self._history[number, :count].copy_(state[:, TOKEN])
        tokens: list[list[int]] = self._history[:, : len(running)].tolist()
        return tokens

    def record_once(self, *, adapter: bool) -> None:
        """Record the steps of an arm before its first; with a smaller cache where memory runs out."""
        import torch

        if not self._record or adapter in self._recorded:
            return
        started = time.monotonic()

        def step(state: Any) -> None:
            decode_step(self.weights, self.cache, state, self._operations, adapter=adapter)

        while adapter not in self._recorded:
            with contextlib.suppress(torch.OutOfMemoryError):
                self._pool = self._pool or torch.cuda.graph_pool_handle()
                self._recorded[adapter] = record_steps(step, self._state, row_counts(self.rows), self._pool)
                break
            self._leave_more_to_steps()
        self.record_seconds += time.monotonic() - started
        self._say(f"steps of up to {self.rows} rows recorded: {memory_line()}")

    def _leave_more_to_steps(self) -> None:
        """Make the cache smaller while it is nobody's; where it holds a single row, write fewer rows.

        Raises:
            MedcotError: it is one row already.
        """
        import torch

        self._recorded, self._pool = {}, None  # recordings know where the cache was
        if self.cache.blocks > self.plan.row_blocks:
            blocks = max(self.plan.row_blocks, self.cache.blocks * 4 // 5)
            self._say(f"out of memory while recording steps: a cache of {blocks * self.plan.block_tokens:,} tokens")
            del self.cache
            self.cache = make_cache(self.weights, self.plan, blocks, self._say)
        elif self.rows > 1:
            self.rows //= 2
            self._say(f"out of memory while recording steps: at most {self.rows} rows at once")
            torch.cuda.empty_cache()
        else:
            raise MedcotError("out of memory while recording a step of one row.", "Free the GPU.")

    def _blocks_left(self) -> int:
        """Blocks that there is memory for."""
        if not self.on_gpu:
            return self.plan.blocks
        self._say(f"weights taken: {memory_line()}")
        taken = try_out(self.weights, self.plan, self._operations, self._state)
        blocks, line = blocks_left(self.plan, self.weights, taken)
        self._say(line)
        return blocks


def _operations(*, on_gpu: bool) -> Any:
    if on_gpu:
        from medcot_pipeline.inference.local.operations import gpu

        return gpu
    from medcot_pipeline.inference.local.operations import host

    return host
