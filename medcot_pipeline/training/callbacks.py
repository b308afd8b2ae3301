"""Callbacks of the trainer. Imported inside the training process only: it needs transformers.

Belongs here: turning the trainer's events into progress.
Does not: deciding anything about the run.
"""

from typing import Any

from transformers import TrainerCallback

from medcot_pipeline.progress import Progress


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """Say step, loss, learning rate and time left while training."""

    def __init__(self, progress: Progress) -> None:
        """Args: progress: says a line every few seconds."""
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called after each logged step."""
        if logs and "loss" in logs:
            detail = (
                f"loss {float(logs['loss']):.3f}, learning rate {float(logs['learning_rate']):.2e}, "
                f"gradient norm {float(logs['grad_norm']):.2f}"
            )
            self._progress(state.global_step, state.max_steps, detail)
