"""The training loop: transformers' trainer, with optimiser steps that are cut into micro-batches here.

Imported inside the training process only, after the engine: it needs transformers, and for the engine `hf` TRL.

Belongs here: a step, a validation, backing off when memory runs out.
Does not belong here: how rows are cut (batches.py), a micro-batch's pass (passes.py), what is saved in the end
(training/outcome/results.py).
"""

import contextlib
import dataclasses
import math
from typing import Any

import torch

from medcot_pipeline.models.devices import GB
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.choose import BUDGET_MULTIPLE
from medcot_pipeline.training.plan.training_plan import TrainingPlan
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Cutting
from medcot_pipeline.training.steps.feed import Step, Steps
from medcot_pipeline.training.steps.micro_batch import MicroBatch, labels
from medcot_pipeline.training.steps.passes import Passes
from medcot_pipeline.training.steps.speed import Speed

BACK_OFF = 0.85
"""What is left of the token budget after memory ran out."""


class MicroBatchSteps:
    """A trainer whose batch is one optimiser step; mixed in before the engine's own trainer class.

    The loss of a step is the sum over its micro-batches of negative log-likelihoods, divided by the number of labels in
    the whole step: every token weighs the same, however the step is cut.
    """

    plan: TrainingPlan
    validation: list[TrainingRow]
    say: Say
    cutting: Cutting
    passes: Passes
    speed: Speed

    def follow(
        self, plan: TrainingPlan, rows: list[TrainingRow], validation: list[TrainingRow], pad_token_id: int, say: Say
    ) -> None:
        """What to train by and on; to be called before anything else."""
        self.plan, self.validation, self.say, self.cutting = plan, validation, say, plan.cutting
        self.train_dataset = Steps(rows, plan.rows_per_step, self.args.seed)  # type: ignore[attr-defined]
        longest = max([plan.longest_row, *map(len, validation)])
        self.passes = Passes(plan, pad_token_id, longest, self.args.device)  # type: ignore[attr-defined]
        self.speed = Speed()

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
                self.passes.record(model, rows[0], self.cutting.widths)
                loss = self._accumulate(model, self.cutting.cut(rows), labels(rows))
                break
            except torch.OutOfMemoryError:
                model.zero_grad()
                self._back_off(max(map(len, rows)))
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
                total += self.passes.gradients(model, batch, count)
                self.speed.count(batch)
        return total

    def _back_off(self, longest: int) -> None:
        """A smaller budget; rows that were cut by number are from now on cut by tokens.

        Raises:
            MedcotError: the longest row alone is too large.
        """
        self.passes.forget()
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

    def probe(self, rows: list[TrainingRow]) -> float:
        """Run the worst micro-batch once, forward and backward, and back off until it fits.

        To be called before the first step, since nothing is recorded yet.

        Args:
            rows: all training rows.

        Returns:
            Peak of reserved GPU memory, GB.
        """
        longest = sorted(rows, key=len, reverse=True)[: self.plan.rows_per_step]
        model = self.model  # type: ignore[attr-defined]
        model.train()
        while True:
            cut = dataclasses.replace(self.cutting, widths=()).cut(longest)  # lines as wide as the budget
            worst = max(cut, key=lambda batch: batch.padded_tokens)
            try:
                with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                    self.passes.gradients(model, worst, labels(worst.rows))
                break
            except torch.OutOfMemoryError:
                self._back_off(len(longest[0]))
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
            loss = sum(float(self.passes.loss(model, batch, count)) for batch in pieces)
        model.train()
        metrics = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
        self.log(metrics)
        handler = self.callback_handler  # type: ignore[attr-defined]
        self.control = handler.on_evaluate(self.args, self.state, self.control, metrics)  # type: ignore[attr-defined, has-type]
        self.speed.go_on()
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add speed, padding and memory to what is logged of a training step."""
        if "loss" in logs:
            logs.update(self.speed.measured(self.state.log_history))  # type: ignore[attr-defined]
        super().log(logs, start_time)  # type: ignore[misc]

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted by the trainer, which knows no rows; see `operations_per_token` in training/plan/cost.py."""
        return 0
