"""How fast a run trains, and how much of that is padding.

Belongs here: counting between two log lines, and the seconds of a run that was resumed.
Does not belong here: saying it (callbacks.py).
"""

import time
from collections.abc import Iterable
from typing import Any

import torch

from medcot_pipeline.models.devices import GB
from medcot_pipeline.training.steps.micro_batch import MicroBatch


class Speed:
    """Tokens and seconds since the last log line, and seconds since the run began."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        """Of this process's part of the run; seconds of the monotonic clock."""
        self._since = self.started
        self._padded_tokens = self._real_tokens = 0
        self._before: float | None = None

    def count(self, batch: MicroBatch) -> None:
        """A micro-batch was computed."""
        self._padded_tokens += batch.padded_tokens
        self._real_tokens += batch.real_tokens

    def go_on(self) -> None:
        """What passed since the last line was no training: let it not count."""
        self._since = time.monotonic()

    def measured(self, history: Iterable[dict[str, Any]]) -> dict[str, float]:
        """Speed, padding, seconds of the run and memory since the last call; nothing where nothing was counted.

        Args:
            history: what the run has logged so far, also before it was resumed.
        """
        if not self._padded_tokens:
            return {}
        now = time.monotonic()
        found = {
            "tokens_per_second": round(self._real_tokens / max(now - self._since, 1e-9), 1),
            "padding_share": round(1 - self._real_tokens / self._padded_tokens, 4),
            "seconds": round(now - self.started + self._seconds_before(history), 2),
        }
        if torch.cuda.is_available():
            found["gpu_memory_gb"] = round(torch.cuda.max_memory_reserved() / GB, 2)
        self._padded_tokens = self._real_tokens = 0
        self._since = now
        return found

    def _seconds_before(self, history: Iterable[dict[str, Any]]) -> float:
        """Seconds of the run before it was resumed."""
        if self._before is None:
            self._before = max((entry.get("seconds", 0.0) for entry in history), default=0.0)
        return self._before
