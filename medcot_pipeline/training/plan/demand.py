"""What a training run asks of a plan: its settings, and its rows by their lengths.

Belongs here: how long rows and steps are, and how they are dealt and cut within a budget.
Does not belong here: choosing the budget (choose.py), what it costs (cost.py).
"""

import dataclasses
from collections.abc import Sequence

from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.products import round_up
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Batching, Cutting, dealt, step_rows
from medcot_pipeline.training.steps.lines import few_widths
from medcot_pipeline.training.steps.micro_batch import PACKED_WIDTH_MULTIPLE

SAMPLED_STEPS = 16
"""Optimiser steps that are cut to learn how much padding and how many micro-batches a run has."""


@dataclasses.dataclass(frozen=True)
class Demand:
    """What the plan has to cut into micro-batches: the settings, and the lengths of a run's rows.

    Attributes:
        settings: hyper-parameters.
        batching: as set, or as the device has it.
        lengths: tokens of every row.
        sample: rows of the first optimiser steps, which all others are taken to be like, each dealt to the ranks.
    """

    settings: TrainingSettings
    batching: Batching
    lengths: Sequence[int]
    sample: list[list[list[TrainingRow]]]

    @classmethod
    def of(cls, settings: TrainingSettings, lengths: Sequence[int], device: Device, ranks: int) -> "Demand":
        """What a run over rows of these lengths demands."""
        per_step = rows_per_step(settings)
        sample = [TrainingRow([0] * tokens, []) for tokens in lengths[: SAMPLED_STEPS * per_step]]
        steps = [dealt(rows, ranks) for rows in step_rows(sample, per_step, 0, 0)]
        return cls(settings, _batching(settings, device), lengths, steps)

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(self.lengths)

    @property
    def mean(self) -> float:
        """Tokens of a row."""
        return sum(self.lengths) / len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all rows and epochs."""
        return round(sum(self.lengths) * self.settings.epochs)

    @property
    def least_tokens(self) -> int:
        """Tokens of the smallest micro-batch that can hold the longest row."""
        return self.settings.per_device_train_batch_size * self.longest if self.batching == "rows" else self.longest

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return max(1, round(-(-len(self.lengths) // rows_per_step(self.settings)) * self.settings.epochs))

    @property
    def share_tokens(self) -> int:
        """Tokens that a rank gets of an optimiser step.

        One rank: in the mean. Several: the most in the sample, in round numbers, since a share that does not fit one
        micro-batch makes all ranks wait for its second one.
        """
        shares = [share for step in self.sample for share in step]
        if len(shares) == len(self.sample):
            return round(self.mean * rows_per_step(self.settings))
        return round_up(max(sum(map(len, share)) for share in shares), PACKED_WIDTH_MULTIPLE)

    @property
    def sampled_tokens(self) -> int:
        """Tokens of the steps of the sample."""
        return sum(len(row) for step in self.sample for share in step for row in share)

    def cutting(self, token_budget: int) -> Cutting:
        """How shares are cut within a budget."""
        shares = [share for step in self.sample for share in step if share]
        widths = few_widths(shares, token_budget) if self.batching == "packed" else ()
        return Cutting(self.batching, self.settings.per_device_train_batch_size, token_budget, widths)


def rows_per_step(settings: TrainingSettings) -> int:
    """Rows of an optimiser step."""
    return settings.per_device_train_batch_size * settings.gradient_accumulation_steps


def _batching(settings: TrainingSettings, device: Device) -> Batching:
    if settings.batching != "auto":
        return settings.batching
    return "packed" if device.varlen_kernel else "tokens"
