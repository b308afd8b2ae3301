"""The engine: rows come, are written a token at a time side by side, and make way for the next when they end.

On a CPU a request's tokens depend on the request alone, to the bit. On a GPU the noise does; sums are rounded by the
number of rows that run, so that two nearly equal logits may change places.

Belongs here: which requests run, and moving their state to the device and back.
Does not: one step (forward.py), how much fits (plan.py), keeping what is finished (inference/finished.py).
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from medcot_pipeline.inference.local.cache import Cache, place_bytes
from medcot_pipeline.inference.local.forward import decode_step, prefill
from medcot_pipeline.inference.local.graphs import record_steps, row_counts
from medcot_pipeline.inference.local.plan import EnginePlan
from medcot_pipeline.inference.local.rows import TABLE, Row, expected_total, line_of, longest_first
from medcot_pipeline.inference.local.weights import take_weights
from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say

Keep = Callable[[Sequence[tuple[Request, Continuation]]], None]
PREFILL_MULTIPLE = 64
"""Prompts that are read together are padded to a multiple: odd widths are slow on a GPU."""
SECONDS_BETWEEN_ESTIMATES = 1.0


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
        self.record_seconds = 0.0
        self._prefill_tokens = plan.prefill_tokens
        self._cache = self._make_cache()
        self._rows = plan.rows
        width = TABLE + self._cache.blocks_for(plan.row_tokens)
        self._lines = torch.zeros(plan.rows, width, dtype=torch.int32, pin_memory=self._on_gpu)
        self._state = torch.zeros(plan.rows, width, dtype=torch.int32, device=self._weights.device)
        self._history = torch.zeros(plan.steps, plan.rows, dtype=torch.int32, device=self._weights.device)

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
            self._refuse_too_long(request)
        waiting = deque(Row(request) for request in longest_first(requests))
        running: list[Row] = []
        finished: dict[str, Continuation] = {}
        progress = _TokenProgress(what, self._say)
        with torch.no_grad():
            self._record_once(adapter=adapter)
            while waiting or running:
                self._let_in(running, waiting, adapter=adapter)
                if any(not row.over for row in running):
                    self._make_room(running, waiting)
                    self._take_steps(running, adapter=adapter)
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

    def _refuse_too_long(self, request: Request) -> None:
        tokens = len(request.prompt_ids) + request.max_tokens
        if not request.prompt_ids or request.max_tokens < 1:
            raise MedcotError(f"request {request.id}: an empty prompt, or nothing to write.")
        if tokens > self.plan.longest:
            raise MedcotError(
                f"request {request.id}: {len(request.prompt_ids):,} tokens of prompt and {request.max_tokens:,} of "
                f"answer do not fit the cache's rows of {self.plan.longest:,}.",
                "Shorten the prompt, or lower the most tokens of an answer.",
            )

    def _make_cache(self) -> Cache:
        """The cache of the plan, or what of it there is memory for.

        Raises:
            MedcotError: not even one row.
        """
        import torch

        plan, weights = self.plan, self._weights
        blocks = plan.blocks
        if self._on_gpu:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        least = -(-plan.row_tokens // plan.block_tokens)
        while blocks >= least:
            try:
                return Cache(weights.shape, blocks, plan.block_tokens, weights.dtype, weights.device)
            except torch.OutOfMemoryError:
                blocks = blocks * 4 // 5
                self._say(f"out of memory: trying a cache of {blocks * plan.block_tokens:,} tokens")
                if self._on_gpu:
                    torch.cuda.empty_cache()
        size = least * plan.block_tokens * place_bytes(weights.shape, weights.dtype.itemsize)
        raise MedcotError(
            f"the cache of a single row of {plan.longest:,} tokens ({size / 1e9:.1f} GB) does not fit the memory left.",
            "Lower the most tokens of an answer, or free the GPU.",
        )

    def _record_once(self, *, adapter: bool) -> None:
        """Record the steps of an arm before its first; with fewer rows where memory runs out."""
        import torch

        if not self._record or adapter in self._recorded:
            return
        started = time.monotonic()

        def step(state: Any) -> None:
            decode_step(self._weights, self._cache, state, self._operations, adapter=adapter)

        self._state.zero_()
        while adapter not in self._recorded:
            try:
                self._recorded[adapter] = record_steps(step, self._state, row_counts(self._rows))
            except torch.OutOfMemoryError:
                if self._rows == 1:
                    raise MedcotError("out of memory while recording a step of one row.", "Free the GPU.") from None
                self._rows //= 2
                self._say(f"out of memory while recording steps: at most {self._rows} rows at once")
                torch.cuda.empty_cache()
        self.record_seconds += time.monotonic() - started

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
                    self._cache.give_back(row.blocks)
                    row.blocks = []
                    waiting.appendleft(row)
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
            width = max(width, _padded(len(row.ids)))
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
        width = min(_padded(width), len(self._weights.cos)) if self._on_gpu else width
        ids = torch.tensor([each + [0] * (width - len(each)) for each in tokens], device=device)
        places = [
            place
            for row, each in zip(group, tokens, strict=True)
            for place in cache.places(row.blocks, len(each)) + [0] * (width - len(each))
        ]
        lasts = torch.tensor([len(each) - 1 for each in tokens], device=device)
        at = torch.tensor(places, device=device)
        logits = prefill(self._weights, cache, ids, at, lasts, adapter=adapter)
        self._fill_lines(group)
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
                self._cache.give_back(last.blocks)
                last.blocks = []
                waiting.appendleft(last)
                if last is row:
                    break
            else:
                row.blocks += self._cache.take(max(0, need))

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        """Some decoding steps of all rows."""
        count = self._rows
        if self._on_gpu:
            count = min(each for each in row_counts(self._rows) if each >= len(running))
        self._fill_lines(running)
        self._lines[len(running) : count] = 0
        state = self._state[:count]
        state.copy_(self._lines[:count], non_blocking=True)
        recorded = self._recorded.get(adapter)
        for number in range(self.plan.steps):
            if recorded:
                recorded[count].replay()
            else:
                decode_step(self._weights, self._cache, state, self._operations, adapter=adapter)
            self._history[number, :count].copy_(state[:, 0])
        for tokens in self._history[:, : len(running)].tolist():
            for row, token in zip(running, tokens, strict=True):
                row.add(token, ended=self.is_end(row, token))

    def _fill_lines(self, rows: Sequence[Row]) -> None:
        """The lines of rows.py for some rows; the rest of each line is nobody's block."""
        lines = self._lines.numpy()
        lines[: len(rows)] = 0
        for line, row in zip(lines, rows, strict=False):
            line[:TABLE] = line_of(row)
            line[TABLE : TABLE + len(row.blocks)] = row.blocks


class _TokenProgress:
    """Progress in tokens, against the total that is expected by now."""

    def __init__(self, what: str, say: Say) -> None:
        self._progress, self._last = Progress(what, say), float("-inf")

    def __call__(self, finished: Sequence[Continuation], running: Sequence[Row], waiting: Sequence[Row]) -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_ESTIMATES:
            return
        self._last = now
        lengths = [len(each.token_ids) for each in finished]
        so_far = [(len(row.written), row.request.max_tokens) for row in running]
        total = expected_total(lengths, so_far, [row.request.max_tokens for row in waiting])
        done = sum(lengths) + sum(tokens for tokens, _ in so_far)
        self._progress(done, round(total), f"tokens, {len(finished):,} finished, {len(running):,} running")


def _padded(tokens: int) -> int:
    return -(-tokens // PREFILL_MULTIPLE) * PREFILL_MULTIPLE


def _operations(*, on_gpu: bool) -> Any:
    if on_gpu:
        from medcot_pipeline.inference.local import gpu_operations

        return gpu_operations
    from medcot_pipeline.inference.local import host_operations

    return host_operations
