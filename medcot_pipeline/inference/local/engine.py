"""The engine: rows come, are written a token at a time side by side, and make way for the next when they end.

Belongs here: which requests run, and what is done when memory runs out.
Does not belong here: computing tokens (runner.py), how much fits (plan.py), keeping what is finished
(inference/finished.py).
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from medcot_pipeline.inference.local.expected.progress import TokenProgress
from medcot_pipeline.inference.local.plan import EnginePlan, padded
from medcot_pipeline.inference.local.rows import Row, longest_first
from medcot_pipeline.inference.local.runner import ModelRunner
from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

SMALLER_CACHE = "Set MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB lower, so that the cache is smaller, or free the GPU."
Keep = Callable[[Sequence[tuple[Request, Continuation]]], None]


class LocalEngine:
    """Writes requests with one loaded model, with its adapter or without.

    Attributes:
        plan: rows, blocks and lengths.
        runner: the model on its device.
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
        self.plan, self._ends, self._say = plan, frozenset(ends), say
        self.runner = ModelRunner(model, plan, say, graphs=graphs)
        self._prefill_tokens = plan.prefill_tokens

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
            self.runner.record_once(adapter=adapter)
            while waiting or running:
                self._let_in(running, waiting, adapter=adapter)
                steps, places, read = 0, len(running), 0
                if any(not row.over for row in running):
                    self._make_room(running, waiting)
                    places, read = len(running), sum(row.position for row in running)
                    try:
                        self._take_steps(running, adapter=adapter)
                        steps = self.plan.steps
                    except torch.OutOfMemoryError:  # no row has got anything yet: the same steps are taken again
                        self._run_fewer(running, waiting)
                over = [row for row in running if row.over]
                for row in over:
                    self.runner.cache.give_back(row.blocks)
                    finished[row.request.id] = row.result()
                keep([(row.request, finished[row.request.id]) for row in over])
                running = [row for row in running if not row.over]
                progress(steps, list(finished.values()), running, waiting, at_once=places, read=read)
        return [finished[request.id] for request in requests]

    def is_end(self, row: Row, token: int) -> bool:
        """Whether a token ends what a row writes."""
        return token in self._ends

    def _let_in(self, running: list[Row], waiting: deque[Row], *, adapter: bool) -> None:
        """Start waiting requests, as many as there is room for; each gets its first token."""
        import torch

        while waiting and len(running) < self.runner.rows:
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
                        SMALLER_CACHE,
                    ) from None
                self._prefill_tokens //= 2
                self._say(f"out of memory: reading at most {self._prefill_tokens:,} tokens of prompts together")
                torch.cuda.empty_cache()

    def _next_group(self, running: Sequence[Row], waiting: deque[Row]) -> list[Row]:
        """Waiting rows that are read together next, with their blocks; a block is spared for each row that grows."""
        group: list[Row] = []
        width = 0
        while waiting and len(running) + len(group) < self.runner.rows:
            row = waiting[0]
            need = self.runner.cache.blocks_for(row.position + 1 + self.plan.steps)
            alone = not running and not group
            if self.runner.cache.free - need < (0 if alone or not self.runner.on_gpu else len(running) + len(group)):
                break
            width = max(width, padded(row.position + 1))
            if group and (len(group) + 1) * width > self._prefill_tokens:
                break
            row.blocks = self.runner.cache.take(need)
            group.append(waiting.popleft())
        return group

    def _read_prompts(self, group: Sequence[Row], *, adapter: bool) -> None:
        """The first token of each row, which has its blocks."""
        for row, token in zip(group, self.runner.read_prompts(group, adapter=adapter), strict=True):
            row.add(token, ended=self.is_end(row, token))

    def _make_room(self, running: list[Row], waiting: deque[Row]) -> None:
        """Give each row blocks for the next steps; where there are none, the last that came waits and is read again."""
        for row in list(running):
            if row not in running:
                continue
            need = self.runner.cache.blocks_for(row.position + 1 + self.plan.steps) - len(row.blocks)
            while need > self.runner.cache.free:
                last = running.pop()
                self._let_wait(last, waiting)
                if last is row:
                    break
            else:
                row.blocks += self.runner.cache.take(max(0, need))

    def _run_fewer(self, running: list[Row], waiting: deque[Row]) -> None:
        """Let half of the rows wait, for good.

        Raises:
            MedcotError: there is but one.
        """
        import torch

        if len(running) == 1:
            raise MedcotError(
                f"request {running[0].request.id}: out of memory while writing it alone.",
                SMALLER_CACHE,
            )
        self.runner.rows = len(running) // 2
        self._say(f"out of memory: at most {self.runner.rows} rows at once")
        while len(running) > self.runner.rows:
            self._let_wait(running.pop(), waiting)
        torch.cuda.empty_cache()

    def _let_wait(self, row: Row, waiting: deque[Row]) -> None:
        """Put a row back at the head of those that wait; it keeps what was written, and is read again."""
        self.runner.cache.give_back(row.blocks)
        row.blocks = []
        waiting.appendleft(row)

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        """Some tokens more of each row."""
        for tokens in self.runner.take_steps(running, adapter=adapter):
            for row, token in zip(running, tokens, strict=True):
                row.add(token, ended=self.is_end(row, token))
