"""The engine for models whose parts are not known here: transformers' own forward pass, some requests at a time.

It is slower: finished requests keep their place until the last of their group ends. Tokens are chosen as by the other
engine, by noise of each request's own.

Belongs here: groups, and their steps.
Does not belong here: models that are known (local/), choosing a token (local/operations/host.py).
"""

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

from medcot_pipeline.inference.local.engine import Keep
from medcot_pipeline.inference.local.expected.progress import TokenProgress
from medcot_pipeline.inference.local.operations.host import choose
from medcot_pipeline.inference.local.rows import Row, line_of, longest_first
from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

ROWS = 8
"""Requests at once where no number is set."""


class PlainEngine:
    """Writes requests with any causal model of transformers, with its adapter or without."""

    def __init__(self, model: Any, ends: Collection[int], rows: int, say: Say, *, limited_by: str) -> None:
        """Take a model as it is loaded.

        Args:
            model: of transformers, or one of PEFT around it.
            ends: tokens that end an answer.
            rows: requests at once.
            say: where progress goes.
            limited_by: the setting that says the most tokens of an answer.
        """
        self._model, self._ends, self._rows, self._say = model, frozenset(ends), rows, say
        self._limited_by = limited_by

    def write(
        self, requests: Sequence[Request], *, adapter: bool, keep: Keep = lambda made: None, what: str = "writing"
    ) -> list[Continuation]:
        """As `LocalEngine.write`.

        Raises:
            MedcotError: memory ran out for a single request.
        """
        import torch

        waiting, finished = longest_first(requests), dict[str, Continuation]()
        progress = TokenProgress(what, self._say, in_groups=True)
        while waiting:
            group = [Row(request) for request in waiting[: self._rows]]
            later = [Row(request) for request in waiting[self._rows :]]
            try:
                with torch.no_grad(), self._arm(adapter=adapter):
                    self._write_group(group, later, list(finished.values()), progress)
            except torch.OutOfMemoryError:
                if len(group) == 1:
                    raise MedcotError(
                        f"request {group[0].request.id}: out of memory while writing it alone.",
                        f"Lower {self._limited_by}, or free the GPU.",
                    ) from None
                self._rows = len(group) // 2
                self._say(f"out of memory: {self._rows} requests at once")
                torch.cuda.empty_cache()
                continue
            waiting = waiting[len(group) :]
            finished |= {row.request.id: row.result() for row in group}
            keep([(row.request, finished[row.request.id]) for row in group])
        return [finished[request.id] for request in requests]

    def _arm(self, *, adapter: bool) -> Any:
        has_adapter = hasattr(self._model, "disable_adapter")
        return self._model.disable_adapter() if has_adapter and not adapter else contextlib.nullcontext()

    def _write_group(
        self, rows: Sequence[Row], later: Sequence[Row], before: Sequence[Continuation], progress: TokenProgress
    ) -> None:
        """Write some requests to their ends, padded at the left; `later` wait for that, `before` is written."""
        import torch

        device = self._model.device
        width = max(len(row.request.prompt_ids) for row in rows)
        missing = [width - len(row.request.prompt_ids) for row in rows]
        pairs = list(zip(rows, missing, strict=True))
        ids = torch.tensor([[0] * gap + list(row.request.prompt_ids) for row, gap in pairs], device=device)
        mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in missing], device=device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        cache = None
        while not all(row.over for row in rows):
            out = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            state = torch.tensor([line_of(row) for row in rows], dtype=torch.int32, device=device)
            chosen = choose(out.logits[:, -1], state)
            for row, token in zip(rows, chosen.tolist(), strict=True):
                row.add(token, ended=token in self._ends)
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            finished = [*before, *(row.result() for row in rows if row.over)]
            running = [row for row in rows if not row.over]
            progress(1, finished, running, later, at_once=self._rows, read=sum(row.position for row in rows))
