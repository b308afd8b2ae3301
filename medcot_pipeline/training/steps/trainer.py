"""The training loop: transformers' trainer, with optimiser steps that are cut into micro-batches here.

Imported inside the training process only, after the engine: it needs transformers, and for the engine `hf` TRL.

Belongs here: a step, a validation, backing off when memory runs out, what is logged.
Does not: how rows are cut (batches.py), what is saved in the end (qlora.py).
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say
from medcot_pipeline.training.checkpoints import mark_whole
from medcot_pipeline.training.plan.memory import GB
from medcot_pipeline.training.plan.planner import BUDGET_MULTIPLE, TrainingPlan
from medcot_pipeline.training.steps.attention import Packing, packed
from medcot_pipeline.training.steps.batches import Cutting, MicroBatch, Row, labels, length, step_rows, tensors
from medcot_pipeline.training.steps.cuda_graph import RecordedMicroBatch, record_micro_batches, zero_in_place
from medcot_pipeline.training.steps.loss import completion_loss
from medcot_pipeline.training.tracking import Tracking

BACK_OFF = 0.85
"""What is left of the token budget after memory ran out."""


class Steps(torch.utils.data.Dataset[list[Row]]):
    """The optimiser steps of the epoch that the trainer is in; one item is the rows of one step."""

    def __init__(self, rows: list[Row], rows_per_step: int, seed: int) -> None:
        """Args: rows: all training rows; rows_per_step: of an optimiser step; seed: of their order."""
        self._rows, self._rows_per_step, self._seed = rows, rows_per_step, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the epoch's order; called by the data loader."""
        self._steps = step_rows(self._rows, self._rows_per_step, self._seed, epoch)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, number: int) -> list[Row]:
        return self._steps[number]


@dataclasses.dataclass(frozen=True)
class Step:
    """One step's rows on their way through the data loader, which moves none of them to a device."""

    rows: list[Row]


def as_step(items: list[list[Row]]) -> dict[str, Step]:
    """The collator: a batch of the data loader is one step."""
    return {"step": Step(items[0])}


class MicroBatchSteps:
    """A trainer whose batch is one optimiser step; mixed in before the engine's own trainer class.

    The loss of a step is the sum over its micro-batches of negative log-likelihoods, divided by the number of labels in
    the whole step: every token weighs the same, however the step is cut.
    """

    plan: TrainingPlan
    validation: list[Row]
    pad_token_id: int
    say: Say
    cutting: Cutting
    longest: int
    padded_tokens = 0
    real_tokens = 0
    since = 0.0
    started = 0.0
    before: float | None = None
    recorded: dict[int, RecordedMicroBatch]

    def follow(self, plan: TrainingPlan, rows: list[Row], validation: list[Row], pad_token_id: int, say: Say) -> None:
        """What to train by and on; to be called before anything else."""
        self.plan, self.validation, self.pad_token_id, self.say = plan, validation, pad_token_id, say
        self.train_dataset = Steps(rows, plan.rows_per_step, self.args.seed)  # type: ignore[attr-defined]
        self.cutting, self.recorded = plan.cutting, {}
        self.longest = max([plan.longest_row, *map(length, validation)])
        self.since = self.started = time.monotonic()

    def _get_train_sampler(self, *_: Any) -> Any:
        """Steps come in their order: the epoch's rows were shuffled before."""
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, model: Any, inputs: dict[str, Step], num_items_in_batch: Any = None) -> Any:
        """Gradients of one optimiser step; returns its loss, nats per label.

        Raises:
            MedcotError: the loss is not a number, or a single row does not fit the memory.
        """
        rows = inputs["step"].rows
        model.train()
        while True:
            try:
                if self.plan.cuda_graph and not self.recorded:
                    self._record(model, rows[0])
                loss = self._accumulate(model, self.cutting.cut(rows), labels(rows))
                break
            except torch.OutOfMemoryError:
                model.zero_grad()
                self._back_off(max(map(length, rows)))
        if not math.isfinite(loss):
            step = self.state.global_step + 1  # type: ignore[attr-defined]
            raise MedcotError(
                f"The loss at optimiser step {step} is not a number.",
                "Lower MEDCOT_TRAINING__LEARNING_RATE; the last checkpoint is kept.",
            )
        return loss

    def _accumulate(self, model: Any, batches: list[MicroBatch], count: int) -> Any:
        total = torch.zeros((), device=self.args.device)  # type: ignore[attr-defined]
        # TRL's context keeps checkpointed inputs in the host's memory where that is planned.
        with getattr(self, "maybe_activation_offload_context", contextlib.nullcontext()):
            for batch in batches:
                total += self._gradients(model, batch, count)
                self.padded_tokens += batch.padded_tokens
                self.real_tokens += batch.real_tokens
        return total

    def _gradients(self, model: Any, batch: MicroBatch, count: int) -> Any:
        """Add a micro-batch's gradients; returns its share of the loss."""
        inputs, divisor = self._on_device(batch, count)
        if batch.width in self.recorded:
            return self.recorded[batch.width](inputs, divisor)
        return self._forward_backward(model, inputs, divisor)

    def _record(self, model: Any, row: Row) -> None:
        """Record a micro-batch of each width that the cutting has; any row serves."""
        zero_in_place(model)
        lines = [self._on_device(MicroBatch([row], width, packed=True), labels([row])) for width in self.cutting.widths]
        most = self.plan.rows_per_step + self.cutting.widths[-1] // self.longest + 1
        inputs, divisor = [inputs for inputs, _ in lines], lines[0][1]
        self.recorded = record_micro_batches(partial(self._forward_backward, model), inputs, divisor, most)
        model.zero_grad()  # recording has added gradients of its own

    def _forward_backward(self, model: Any, inputs: Mapping[str, Any], divisor: Any) -> Any:
        with self._within_rows(inputs):  # the backward pass too: it may compute layers again
            loss = self._forward(model, inputs, divisor)
            loss.backward()
        return loss.detach()

    def _within_rows(self, inputs: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        boundaries = inputs.get("boundaries")
        return packed(None if boundaries is None else Packing(boundaries, self.longest))

    def _loss(self, model: Any, batch: MicroBatch, count: int) -> Any:
        """Negative log-likelihood of a micro-batch's labels, divided by `count`."""
        inputs, divisor = self._on_device(batch, count)
        with self._within_rows(inputs):
            return self._forward(model, inputs, divisor)

    def _on_device(self, batch: MicroBatch, count: int) -> tuple[dict[str, Any], Any]:
        mask = self.plan.batching == "rows"
        made = tensors(batch, self.pad_token_id, attention_mask=mask, longest=self.longest)
        device = self.args.device  # type: ignore[attr-defined]
        return {name: tensor.to(device) for name, tensor in made.items()}, torch.tensor(float(count), device=device)

    def _forward(self, model: Any, inputs: Mapping[str, Any], divisor: Any) -> Any:
        arguments = {name: tensor for name, tensor in inputs.items() if name != "boundaries"}
        # Not left to the trainer: the probe runs before it prepares the model.
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=divisor.is_cuda):
            if self.plan.engine == "unsloth":
                return model(**arguments, use_cache=False, num_items_in_batch=divisor).loss
            causal, wanted = model.get_base_model(), arguments.pop("labels")
            hidden = causal.model(**arguments, use_cache=False).last_hidden_state
            return completion_loss(hidden, causal.lm_head.weight, wanted, divisor)

    def _back_off(self, longest: int) -> None:
        """A smaller budget; rows that were cut by number are from now on cut by tokens.

        Raises:
            MedcotError: the longest row alone is too large.
        """
        self.recorded = {}
        torch.cuda.empty_cache()
        budget = self.cutting.token_budget
        smaller = max(longest, int(budget * BACK_OFF) // BUDGET_MULTIPLE * BUDGET_MULTIPLE)
        if smaller >= budget:
            raise MedcotError(
                f"Out of GPU memory: {self.plan.device} cannot train one row of {longest:,} tokens "
                f"({torch.cuda.max_memory_reserved() / GB:.1f} GB in use).",
                "Set MEDCOT_TRAINING__CHECKPOINTING=offloaded, or lower MEDCOT_TRAINING__MAX_ROW_TOKENS.",
            )
        self.say(f"out of GPU memory: micro-batches of {smaller:,} tokens from now on, not {budget:,}")
        self.cutting = self.cutting.within(smaller)

    def probe(self, rows: list[Row]) -> float:
        """Run the worst micro-batch once, forward and backward, and back off until it fits.

        Args:
            rows: all training rows.

        Returns:
            Peak of reserved GPU memory, GB.
        """
        longest = sorted(rows, key=length, reverse=True)[: self.plan.rows_per_step]
        model = self.model  # type: ignore[attr-defined]
        model.train()
        while True:
            cut = dataclasses.replace(self.cutting, widths=()).cut(longest)  # lines as wide as the budget
            worst = max(cut, key=lambda batch: batch.padded_tokens)
            try:
                with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                    self._forward_backward(model, *self._on_device(worst, labels(worst.rows)))
                break
            except torch.OutOfMemoryError:
                self._back_off(length(longest[0]))
            finally:
                model.zero_grad()
        return torch.cuda.max_memory_reserved() / GB

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validation loss, nats per label over all validation rows, and the perplexity that follows from it."""
        model = self.model  # type: ignore[attr-defined]
        model.eval()
        count = labels(self.validation)
        pieces = self.cutting.within(self.cutting.token_budget).cut(self.validation)
        with torch.no_grad():
            loss = sum(float(self._loss(model, batch, count)) for batch in pieces)
        model.train()
        metrics = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
        self.log(metrics)
        handler = self.callback_handler  # type: ignore[attr-defined]
        self.control = handler.on_evaluate(self.args, self.state, self.control, metrics)  # type: ignore[attr-defined, has-type]
        self.since = time.monotonic()
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add speed, padding and memory to what is logged of a training step."""
        if "loss" in logs and self.padded_tokens:
            now = time.monotonic()
            logs["tokens_per_second"] = round(self.real_tokens / max(now - self.since, 1e-9), 1)
            logs["padding_share"] = round(1 - self.real_tokens / self.padded_tokens, 4)
            logs["seconds"] = round(now - self.started + self._seconds_before(), 2)
            if torch.cuda.is_available():
                logs["gpu_memory_gb"] = round(torch.cuda.max_memory_reserved() / GB, 2)
            self.padded_tokens = self.real_tokens = 0
            self.since = now
        super().log(logs, start_time)  # type: ignore[misc]

    def _seconds_before(self) -> float:
        """Seconds of the run before it was resumed."""
        if self.before is None:
            history = self.state.log_history  # type: ignore[attr-defined]
            self.before = max((entry.get("seconds", 0.0) for entry in history), default=0.0)
        return self.before

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted by the trainer, which knows no rows; see `memory.operations_per_token`."""
        return 0


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

    def __init__(self, fingerprint: str) -> None:
        """Args: fingerprint: whose checkpoints these are."""
        self._fingerprint = fingerprint

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Called after each optimiser step."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called when a checkpoint's files are written."""
        mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}", self._fingerprint)
