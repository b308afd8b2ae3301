"""The training loop: transformers' trainer, with optimiser steps that are dealt to ranks and cut here.

Imported inside the training process only, after the engine: it needs transformers, and for the engine `hf` TRL.

Belongs here: a step, a validation, backing off when memory runs out, saving.
Does not belong here: how rows are dealt and cut (batches.py), a micro-batch's pass (passes.py), how ranks add up
(compute/together.py), what is saved in the end (training/outcome/results.py).
"""

import contextlib
import dataclasses
import math
from typing import Any

import torch

from medcot_pipeline.artifacts.identity import sha256_text
from medcot_pipeline.compute.together import Ranks, ranks_here
from medcot_pipeline.models.devices import GB
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.choose import BUDGET_MULTIPLE
from medcot_pipeline.training.plan.training_plan import TrainingPlan
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Cutting, dealt
from medcot_pipeline.training.steps.feed import Step, Steps
from medcot_pipeline.training.steps.micro_batch import MicroBatch, labels
from medcot_pipeline.training.steps.passes import Passes
from medcot_pipeline.training.steps.speed import Speed

BACK_OFF = 0.85
"""What is left of the token budget after memory ran out."""


class MicroBatchSteps:
    """A trainer whose batch is one optimiser step; mixed in before the engine's own trainer class.

    The loss of a step is the sum over its micro-batches of negative log-likelihoods, divided by the number of labels in
    the whole step: every token weighs the same, however the step is dealt and cut. Ranks add up gradients and loss once
    a step, and then take the same optimiser step.
    """

    plan: TrainingPlan
    validation: list[TrainingRow]
    say: Say
    cutting: Cutting
    passes: Passes
    speed: Speed
    ranks: Ranks

    def follow(
        self, plan: TrainingPlan, rows: list[TrainingRow], validation: list[TrainingRow], pad_token_id: int, say: Say
    ) -> None:
        """What to train by and on; to be called before anything else."""
        self.plan, self.validation, self.say, self.cutting = plan, validation, say, plan.cutting
        self.train_dataset = Steps(rows, plan.rows_per_step, self.args.seed)  # type: ignore[attr-defined]
        longest = max([plan.longest_row, *map(len, validation)])
        self.passes = Passes(plan, pad_token_id, longest, self.args.device)  # type: ignore[attr-defined]
        self.speed = Speed()
        self.ranks = ranks_here()

    def _get_train_sampler(self, *_: Any) -> Any:
        """Steps come in their order: the epoch's rows were shuffled before."""
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, model: Any, inputs: dict[str, Step], num_items_in_batch: Any = None) -> Any:
        """Gradients of one optimiser step, summed over the ranks; returns its loss, nats per label.

        Raises:
            MedcotError: the loss is not a number, or a single row does not fit the memory.
        """
        rows = inputs["step"].rows
        model.train()
        while True:
            shares = [self.cutting.cut(share) for share in dealt(rows, self.ranks.size)]
            loss = self._together(model, self._share(model, rows, shares[self.ranks.rank]))
            if loss is not None:
                break
            model.zero_grad()
            self._back_off(max(map(len, rows)))
        for batch in (batch for share in shares for batch in share):
            self.speed.count(batch)
        if not math.isfinite(loss):
            step = self.state.global_step + 1  # type: ignore[attr-defined]
            raise MedcotError(
                f"The loss at optimiser step {step} is not a number.",
                "Lower MEDCOT_TRAINING__LEARNING_RATE; the last checkpoint is kept.",
            )
        return loss

    def _share(self, model: Any, rows: list[TrainingRow], batches: list[MicroBatch]) -> Any | None:
        """Gradients of this rank's micro-batches of a step; returns its part of the loss, none if memory ran out."""
        self._seed_dropout()
        try:
            self.passes.record(model, rows[0], self.cutting.widths)
            return self._accumulate(model, batches, labels(rows))
        except torch.OutOfMemoryError:
            return None

    def _together(self, model: Any, loss: Any | None) -> Any | None:
        """Sums over all ranks: the loss, and in place every gradient; none if memory ran out on any of them."""
        if self.ranks.size == 1:
            return loss
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        for weight in weights:
            if weight.grad is None:  # nothing was computed here
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights]
        total, failed = self.ranks.add_up(gradients, [0.0 if loss is None else loss, float(loss is None)])
        return None if failed else total

    def _seed_dropout(self) -> None:
        """Let what a rank drops follow from seed, step and rank: a resumed run finds no other rank's random state."""
        if self.ranks.size > 1:
            trainer: Any = self
            moment = f"{trainer.args.seed}\0{trainer.state.global_step}\0{self.ranks.rank}"
            torch.manual_seed(int(sha256_text(moment)[:15], 16))

    def _accumulate(self, model: Any, batches: list[MicroBatch], count: int) -> Any:
        total = torch.zeros((), device=self.args.device)  # type: ignore[attr-defined]
        # TRL's context keeps checkpointed inputs in the host's memory where that is planned.
        with getattr(self, "maybe_activation_offload_context", contextlib.nullcontext()):
            for batch in batches:
                total += self.passes.gradients(model, batch, count)
        return total

    def _back_off(self, longest: int) -> None:
        """A smaller budget, on all ranks alike; rows that were cut by number are from now on cut by tokens.

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
        """Run the worst micro-batch once, forward and backward, and back off until it fits on every rank.

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
            failed = False
            try:
                with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                    self.passes.gradients(model, worst, labels(worst.rows))
            except torch.OutOfMemoryError:
                failed = True
            finally:
                model.zero_grad()
            if not self.ranks.total(failed):
                break
            self._back_off(len(longest[0]))
        return torch.cuda.max_memory_reserved() / GB

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validation loss, nats per label over all validation rows, and the perplexity that follows from it."""
        model = self.model  # type: ignore[attr-defined]
        model.eval()
        count = labels(self.validation)
        share = dealt(self.validation, self.ranks.size)[self.ranks.rank]
        pieces = self.cutting.within(self.cutting.token_budget).cut(share)
        with torch.no_grad():
            loss = self.ranks.total(sum(float(self.passes.loss(model, batch, count)) for batch in pieces))
        model.train()
        metrics = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
        self.log(metrics)
        handler = self.callback_handler  # type: ignore[attr-defined]
        self.control = handler.on_evaluate(self.args, self.state, self.control, metrics)  # type: ignore[attr-defined, has-type]
        self.speed.go_on()
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The first rank writes; the others wait until the files are there, and take its word which is the best."""
        trainer: Any = self
        engines: Any = super()
        state = trainer.state

        def save() -> str | None:
            engines._save_checkpoint(model, trial)
            best: str | None = state.best_model_checkpoint
            return best

        state.best_model_checkpoint = self.ranks.decided(f"best at step {state.global_step}", save)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add speed, padding and memory to what is logged of a training step."""
        if "loss" in logs:
            logs.update(self.speed.measured(self.state.log_history))  # type: ignore[attr-defined]
        super().log(logs, start_time)  # type: ignore[misc]

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted by the trainer, which knows no rows; see `operations_per_token` in training/plan/cost.py."""
        return 0
