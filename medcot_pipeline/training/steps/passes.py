"""One micro-batch through the model, forward and backward, recorded where that is planned.

Belongs here: what the model is called with, its loss, its gradients.
Does not belong here: how a step is cut, or what happens when memory runs out (trainer.py).
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from medcot_pipeline.training.plan.training_plan import TrainingPlan
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.attention import Packing, packed
from medcot_pipeline.training.steps.cuda_graph import RecordedMicroBatch, record_micro_batches, zero_in_place
from medcot_pipeline.training.steps.loss import completion_loss
from medcot_pipeline.training.steps.micro_batch import MicroBatch, labels, tensors


class Passes:
    """Passes of micro-batches through a model as a plan has them."""

    def __init__(self, plan: TrainingPlan, pad_token_id: int, longest: int, device: torch.device) -> None:
        """Args: plan: of the run; pad_token_id: of its tokenizer; longest: tokens of any row; device: the model's."""
        self._plan, self._pad_token_id, self._longest, self._device = plan, pad_token_id, longest, device
        self._recorded: dict[int, RecordedMicroBatch] = {}

    def record(self, model: Any, row: TrainingRow, widths: tuple[int, ...]) -> None:
        """Record a micro-batch of each width, where that is planned and not done yet; any row serves."""
        if not self._plan.cuda_graph or self._recorded:
            return
        zero_in_place(model)
        lines = [self._on_device(MicroBatch([row], width, packed=True), labels([row])) for width in widths]
        most = self._plan.rows_per_step + widths[-1] // self._longest + 1
        inputs, divisor = [inputs for inputs, _ in lines], lines[0][1]
        self._recorded = record_micro_batches(partial(self._forward_backward, model), inputs, divisor, most)
        model.zero_grad()  # recording has added gradients of its own

    def forget(self) -> None:
        """Drop what was recorded, and its memory."""
        self._recorded = {}

    def gradients(self, model: Any, batch: MicroBatch, count: int) -> Any:
        """Add a micro-batch's gradients; returns its share of the loss of a step with `count` labels."""
        inputs, divisor = self._on_device(batch, count)
        if batch.width in self._recorded:
            return self._recorded[batch.width](inputs, divisor)
        return self._forward_backward(model, inputs, divisor)

    def loss(self, model: Any, batch: MicroBatch, count: int) -> Any:
        """Negative log-likelihood of a micro-batch's labels, divided by `count`."""
        inputs, divisor = self._on_device(batch, count)
        with self._within_rows(inputs):
            return self._forward(model, inputs, divisor)

    def _forward_backward(self, model: Any, inputs: Mapping[str, Any], divisor: Any) -> Any:
        with self._within_rows(inputs):  # the backward pass too: it may compute layers again
            loss = self._forward(model, inputs, divisor)
            loss.backward()
        return loss.detach()

    def _within_rows(self, inputs: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        boundaries = inputs.get("boundaries")
        return packed(None if boundaries is None else Packing(boundaries, self._longest))

    def _on_device(self, batch: MicroBatch, count: int) -> tuple[dict[str, Any], Any]:
        mask = self._plan.batching == "rows"
        made = tensors(batch, self._pad_token_id, attention_mask=mask, longest=self._longest)
        divisor = torch.tensor(float(count), device=self._device)
        return {name: tensor.to(self._device) for name, tensor in made.items()}, divisor

    def _forward(self, model: Any, inputs: Mapping[str, Any], divisor: Any) -> Any:
        arguments = {name: tensor for name, tensor in inputs.items() if name != "boundaries"}
        # Not left to the trainer: the probe runs before it prepares the model.
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=divisor.is_cuda):
            if self._plan.engine == "unsloth":
                return model(**arguments, use_cache=False, num_items_in_batch=divisor).loss
            causal, wanted = model.get_base_model(), arguments.pop("labels")
            hidden = causal.model(**arguments, use_cache=False).last_hidden_state
            return completion_loss(hidden, causal.lm_head.weight, wanted, divisor)
