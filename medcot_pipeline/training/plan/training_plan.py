"""The plan of a training run: what was chosen for it, and what it should take.

Belongs here: the record, and how people and JSON have it.
Does not belong here: choosing (choose.py), predicting (cost.py).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from medcot_pipeline.support.progress import duration
from medcot_pipeline.training.steps.batches import Batching, Cutting

Engine = Literal["hf", "unsloth"]
"""The library that trains: plain transformers with PEFT, or Unsloth."""
Checkpointing = Literal["none", "some", "all", "offloaded"]
"""What the backward pass computes again; `offloaded` keeps the layers' inputs in the host's memory."""


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What was chosen, and what it should take.

    Attributes:
        engine: `hf` or `unsloth`.
        device: the GPU's name, or `CPU`.
        batching: how an optimiser step's rows are cut.
        rows_per_step: rows of an optimiser step.
        rows_per_micro_batch: for batching by rows.
        token_budget: most padded tokens of a micro-batch, for the others.
        widths: of packed lines, tokens; a step takes one of them.
        checkpointing: what the backward pass computes again.
        checkpointed_layers: in how many layers.
        cuda_graph: whether one micro-batch is recorded and replayed.
        steps: optimiser steps of the run.
        tokens: of all rows and epochs, without padding.
        longest_row: tokens.
        memory_limit_gb: what the run may use; none on a CPU.
        predicted_memory_gb: at the peak; none on a CPU.
        predicted_seconds: of training, without loading; none where the device's speed is not known.
        ranks: processes that train together, each on a GPU of its own; the memory is that of one.
    """

    engine: Engine
    device: str
    batching: Batching
    rows_per_step: int
    rows_per_micro_batch: int
    token_budget: int
    widths: tuple[int, ...]
    checkpointing: Checkpointing
    checkpointed_layers: int
    cuda_graph: bool
    steps: int
    tokens: int
    longest_row: int
    memory_limit_gb: float | None
    predicted_memory_gb: float | None
    predicted_seconds: float | None
    ranks: int = 1

    @property
    def cutting(self) -> Cutting:
        """How rows are cut."""
        return Cutting(self.batching, self.rows_per_micro_batch, self.token_budget, self.widths)

    def on_ranks(self, ranks: int) -> "TrainingPlan":
        """The same micro-batches on another number of ranks, for which no time was predicted."""
        return self if ranks == self.ranks else dataclasses.replace(self, ranks=ranks, predicted_seconds=None)

    def lines(self) -> list[str]:
        """The plan as people read it."""
        how = {
            "rows": f"{self.rows_per_micro_batch} rows",
            "tokens": f"rows of like length, at most {self.token_budget:,} padded tokens",
            "packed": f"packed rows, up to {self.token_budget:,} tokens each{', replayed' if self.cuda_graph else ''}",
        }[self.batching]
        again = {
            "none": "no layer is recomputed",
            "some": f"{self.checkpointed_layers} layers are recomputed",
            "all": "every layer is recomputed",
            "offloaded": "every layer is recomputed, from inputs kept in the host's memory",
        }[self.checkpointing]
        several = self.ranks > 1
        kind = "processes" if self.memory_limit_gb is None else "GPUs"
        where = f"{self.ranks} {kind} ({self.device})" if several else self.device
        memory = (
            ""
            if self.predicted_memory_gb is None
            else f"; peak {self.predicted_memory_gb:.1f} of {self.memory_limit_gb:.1f} GB{' on each' * several}"
        )
        time = "" if self.predicted_seconds is None else f"; about {duration(self.predicted_seconds)}"
        return [
            f"{self.engine} on {where}: {self.steps:,} optimiser steps of {self.rows_per_step} rows, "
            f"{self.tokens:,} tokens",
            f"micro-batches of {how}; {again}{memory}{time}",
        ]


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """The plan as JSON."""
    return dataclasses.asdict(plan)


def plan_of(described: Mapping[str, Any]) -> TrainingPlan:
    """The plan that `describe` gave, also from JSON; raises TypeError or KeyError where it is something else."""
    return TrainingPlan(**{**described, "widths": tuple(described["widths"])})
