"""The engine: rows come, are written a token at a time side by side, and make way for the next when they end.

On a CPU a request's tokens depend on the request alone, to the bit. On a GPU the noise does; sums are rounded by the
number of rows that run, so that two nearly equal logits may change places.

Belongs here: which requests run, and moving their state to the device and back.
Does not: one step (forward.py), how much fits (plan.py), keeping what is finished (inference/finished.py).
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from medcot_pipeline.inference.local.forward import decode_step, prefill
from medcot_pipeline.inference.local.graphs import record_steps, row_counts
from medcot_pipeline.inference.local.plan import EnginePlan, blocks_left, make_cache, padded, try_out
from medcot_pipeline.inference.local.rows import TABLE, Row, TokenProgress, fill_lines, longest_first
from medcot_pipeline.inference.local.weights import take_weights
from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.models.devices import memory_line
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

Keep = Callable[[Sequence[tuple[Request, Continuation]]], None]


class LocalEngine:
    """Writes requests with one loaded model, with its adapter or without.

    Attributes:
        plan: rows, blocks and lengths, as they came to be.
        record_seconds: that recording steps took.
    """

    def __init__(self, model: Any, ends: Collection[int], plan: EnginePlan, say: Say, *, graphs: bool = True) -> None:
        """Take a loaded model apart and make the cache.

        Args:
            model: of transformers, or one of PEFT around it; cannot be used afterwards.
            ends: tokens that end an answer.
            plan: rows and cache.
            say: told what is smaller than planned.
            graphs: record decoding steps on a GPU (packed weights never are: unpacking them takes longer).

        Raises:
            MedcotError: the model or its adapter is not known here, or nothing fits.
        """
        import torch

        self.plan, self._ends, self._say = plan, frozenset(ends), say
        self._on_gpu = next(model.parameters()).device.type == "cuda"
        dtype = torch.bfloat16 if self._on_gpu else torch.float32
        self._weights = take_weights(model, dtype, plan.row_tokens, keep_nf4=plan.keep_nf4)
        self._operations = _operations(on_gpu=self._on_gpu)
        self._record = graphs and self._on_gpu and not plan.keep_nf4
        self._recorded: dict[bool, dict[int, Any]] = {}
        self._pool: Any = None
        self.record_seconds = 0.0
        self._prefill_tokens = plan.prefill_tokens
        self._rows = plan.rows
        width = TABLE + plan.row_blocks
        self._lines = torch.zeros(plan.rows, width, dtype=torch.int32, pin_memory=self._on_gpu)
        self._state = torch.zeros(plan.rows, width, dtype=torch.int32, device=self._weights.device)
        self._history = torch.zeros(plan.steps, plan.rows, dtype=torch.int32, device=self._weights.device)
        self._cache = make_cache(self._weights, plan, self._blocks_left(), say)

    @property
    def has_adapter(self) -> bool:
        """Whether the model has LoRA on it."""
        return self._weights.has_adapter

    def write(
        self, requests: Sequence[Request], *, adapter: bool, keep: Keep = lambda made: None, what: str = "writing"
    ) -> list[Continuation]:
        """Write all requests; the results are in their order.

        Args:
            requests: ids differ.
            adapter: whether the adapter counts.
            keep: told what is finished, as soon as it is.
            what: the work's name in progress lines.

        Raises:
            MedcotError: a request is longer than the rows of the plan, or memory ran out for a single one.
        """
        import torch

        for request in requests:
            self.plan.refuse_too_long(request)
        waiting = deque(Row(request) for request in longest_first(requests))
        running: list[Row] = []
        finished: dict[str, Continuation] = {}
        progress = TokenProgress(what, self._say)
        with torch.no_grad():
            self._record_once(adapter=adapter)
            while waiting or running:
                self._let_in(running, waiting, adapter=adapter)
                if any(not row.over for row in running):
                    self._make_room(running, waiting)
                    try:
                        self._take_steps(running, adapter=adapter)
                    except torch.OutOfMemoryError:  # no row has got anything yet: the same steps are taken again
                        self._run_fewer(running, waiting)
                over = [row for row in running if row.over]
                for row in over:
                    self._cache.give_back(row.blocks)
                    finished[row.request.id] = row.result()
                keep([(row.request, finished[row.request.id]) for row in over])
                running = [row for row in running if not row.over]
                progress(list(finished.values()), running, waiting)
        return [finished[request.id] for request in requests]

    def is_end(self, row: Row, token: int) -> bool:
        """Whether a token ends what a row writes."""
        return token in self._ends

    def _blocks_left(self) -> int:
        """Blocks that there is memory for."""
        if not self._on_gpu:
            return self.plan.blocks
        self._say(f"weights taken: {memory_line()}")
        taken = try_out(self._weights, self.plan, self._operations, self._state)
        blocks, line = blocks_left(self.plan, self._weights, taken)
        self._say(line)
        return blocks

    def _record_once(self, *, adapter: bool) -> None:
        """Record the steps of an arm before its first; with a smaller cache where memory runs out."""
        import torch

        if not self._record or adapter in self._recorded:
            return
        started = time.monotonic()

        def step(state: Any) -> None:
            decode_step(self._weights, self._cache, state, self._operations, adapter=adapter)

        while adapter not in self._recorded:
            with contextlib.suppress(torch.OutOfMemoryError):
                self._pool = self._pool or torch.cuda.graph_pool_handle()
                self._recorded[adapter] = record_steps(step, self._state, row_counts(self._rows), self._pool)
                break
            self._leave_more_to_steps()
        self.record_seconds += time.monotonic() - started
        self._say(f"steps of up to {self._rows} rows recorded: {memory_line()}")

    def _leave_more_to_steps(self) -> None:
        """Make the cache smaller while it is nobody's; where it holds a single row, write fewer rows.

        Raises:
            MedcotError: it is one row already.
        """
        import torch

        self._recorded, self._pool = {}, None  # recordings know where the cache was
        if self._cache.blocks > self.plan.row_blocks:
            blocks = max(self.plan.row_blocks, self._cache.blocks * 4 // 5)
            self._say(f"out of memory while recording steps: a cache of {blocks * self.plan.block_tokens:,} tokens")
            del self._cache
            self._cache = make_cache(self._weights, self.plan, blocks, self._say)
        elif self._rows > 1:
            self._rows //= 2
            self._say(f"out of memory while recording steps: at most {self._rows} rows at once")
            torch.cuda.empty_cache()
        else:
            raise MedcotError("out of memory while recording a step of one row.", "Free the GPU.")

    def _let_in(self, running: list[Row], waiting: deque[Row], *, adapter: bool) -> None:
        """Start waiting requests, as many as there is room for; each gets its first token."""
        import torch

        while waiting and len(running) < self._rows:
            group = self._next_group(running, waiting)
            if not group:
                return
            try:
                self._read_prompts(group, adapter=adapter)
                running += group
            except torch.OutOfMemoryError:
                for row in reversed(group):
                    self._let_wait(row, waiting)
                if len(group) == 1:
                    raise MedcotError(
                        f"request {group[0].request.id}: out of memory while reading {len(group[0].ids):,} tokens.",
                        "Set a lower limit of GPU memory, so that the cache is smaller, or free the GPU.",
                    ) from None
                self._prefill_tokens //= 2
                self._say(f"out of memory: reading at most {self._prefill_tokens:,} tokens of prompts together")
                torch.cuda.empty_cache()

    def _next_group(self, running: Sequence[Row], waiting: deque[Row]) -> list[Row]:
        """Waiting rows that are read together next, with their blocks; a block is spared for each row that grows."""
        group: list[Row] = []
        width = 0
        while waiting and len(running) + len(group) < self._rows:
            row = waiting[0]
            need = self._cache.blocks_for(len(row.ids) + self.plan.steps)
            alone = not running and not group
            if self._cache.free - need < (0 if alone or not self._on_gpu else len(running) + len(group)):
                break
            width = max(width, padded(len(row.ids)))
            if group and (len(group) + 1) * width > self._prefill_tokens:
                break
            row.blocks = self._cache.take(need)
            group.append(waiting.popleft())
        return group

    def _read_prompts(self, group: Sequence[Row], *, adapter: bool) -> None:
        """Prefill some rows, and choose the next token of each."""
        import torch

        device, cache = self._weights.device, self._cache
        tokens = [row.ids for row in group]
        width = max(map(len, tokens))
        width = min(padded(width), len(self._weights.cos)) if self._on_gpu else width
        ids = torch.tensor([each + [0] * (width - len(each)) for each in tokens], device=device)
        places = [
            place
            for row, each in zip(group, tokens, strict=True)
            for place in cache.places(row.blocks, len(each)) + [0] * (width - len(each))
        ]
        lasts = torch.tensor([len(each) - 1 for each in tokens], device=device)
        at = torch.tensor(places, device=device)
        logits = prefill(self._weights, cache, ids, at, lasts, adapter=adapter)
        fill_lines(self._lines.numpy(), group)
        chosen = self._operations.choose(logits, self._lines[: len(group)].to(device))
        for row, token in zip(group, chosen.tolist(), strict=True):
            row.add(token, ended=self.is_end(row, token))

    def _make_room(self, running: list[Row], waiting: deque[Row]) -> None:
        """Give each row blocks for the next steps; where there are none, the last that came waits and is read again."""
        for row in list(running):
            if row not in running:
                continue
            need = self._cache.blocks_for(row.position + 1 + self.plan.steps) - len(row.blocks)
            while need > self._cache.free:
                last = running.pop()
                self._let_wait(last, waiting)
                if last is row:
                    break
            else:
                row.blocks += self._cache.take(max(0, need))

    def _run_fewer(self, running: list[Row], waiting: deque[Row]) -> None:
        """Let half of the rows wait, for good.

        Raises:
            MedcotError: there is but one.
        """
        import torch

        if len(running) == 1:
            raise MedcotError(
                f"request {running[0].request.id}: out of memory while writing it alone.",
                "Set a lower limit of GPU memory, so that the cache is smaller, or free the GPU.",
            )
        self._rows = len(running) // 2
        self._say(f"out of memory: at most {self._rows} rows at once")
        while len(running) > self._rows:
            self._let_wait(running.pop(), waiting)
        torch.cuda.empty_cache()

    def _let_wait(self, row: Row, waiting: deque[Row]) -> None:
        """Put a row back at the head of those that wait; it keeps what was written, and is read again."""
        self._cache.give_back(row.blocks)
        row.blocks = []
        waiting.appendleft(row)

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        """Some decoding steps of all rows."""
        recorded = self._recorded.get(adapter)
        count = self._rows
        if self._on_gpu:
            count = min(each for each in recorded or row_counts(self._rows) if each >= len(running))
        fill_lines(self._lines.numpy(), running)
        self._lines[len(running) : count] = 0
        state = self._state[:count]
        state.copy_(self._lines[:count], non_blocking=True)
        for number in range(self.plan.steps):
            if recorded:
                recorded[count].replay()
            else:
                decode_step(self._weights, self._cache, state, self._operations, adapter=adapter)
            self._history[number, :count].copy_(state[:, 0])
        for tokens in self._history[:, : len(running)].tolist():
            for row, token in zip(running, tokens, strict=True):
                row.add(token, ended=self.is_end(row, token))


def _operations(*, on_gpu: bool) -> Any:
    if on_gpu:
        from medcot_pipeline.inference.local import gpu_operations

        return gpu_operations
    from medcot_pipeline.inference.local import host_operations

    return host_operations
