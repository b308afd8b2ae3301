"""What happens beside the training loop: progress lines, tracking, marks of whole checkpoints.

Belongs here: the trainer's callbacks.
Does not belong here: a step (trainer.py), what a tracked run is (training/outcome/tracking.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from medcot_pipeline.support.progress import Progress
from medcot_pipeline.training.checkpoints import mark_whole
from medcot_pipeline.training.outcome.tracking import Tracking


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """Say step, loss, learning rate, gradient norm, speed, memory and time left while training."""

    def __init__(self, progress: Progress) -> None:
        """Args: progress: says a line every few seconds."""
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called after each logged step."""
        if logs and "loss" in logs:
            self._progress(state.global_step, state.max_steps, ", ".join(_details(logs)))


def _details(logs: dict[str, float]) -> Iterator[str]:
    yield f"loss {logs['loss']:.3f}"
    yield f"learning rate {logs['learning_rate']:.2e}"
    yield f"gradient norm {float(logs['grad_norm']):.2f}"
    if "tokens_per_second" in logs:
        yield f"{logs['tokens_per_second']:,.0f} tokens/s"
    if "gpu_memory_gb" in logs:
        yield f"{logs['gpu_memory_gb']:.1f} GB"


class TrackRun(TrainerCallback):  # type: ignore[misc]
    """Hand what is logged to the tracker. Not the library's own callback: that one fails the training with itself."""

    def __init__(self, tracking: Tracking) -> None:
        """Args: tracking: the tracked run."""
        self._tracking = tracking

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called after each logged step and each validation."""
        self._tracking.log(logs or {}, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called once."""
        self._tracking.finish()


class MarkCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Mark every checkpoint once it is whole, and measure the last step too, which is saved in any case."""

    def __init__(self, fingerprint: str, *, writes: bool) -> None:
        """Args: fingerprint: whose checkpoints these are; writes: whether this process wrote them."""
        self._fingerprint, self._writes = fingerprint, writes

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Called after each optimiser step."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called when a checkpoint's files are written."""
        if self._writes:
            mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}", self._fingerprint)
