"""What the ranks of a job do together. A job that runs in one process is a single rank, for which all of this is free.

Before they join, ranks tell each other values through a file. Joined, they add up tensors over NCCL, or gloo on a CPU.
They join late: libraries that see a process group when they load a model take another path than in a single process.

Belongs here: which rank this process is, values and sums that all of them get.
Does not belong here: starting ranks (ranks.py), what is summed (the rooms).
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SUM_LIMIT = timedelta(minutes=10)
"""Longest that ranks wait for each other in a sum: one that hangs ends the run."""
VALUE_LIMIT = timedelta(hours=1)
"""Longest that ranks wait for a value, such as while the first of them verifies a base model on a slow disk."""


class Ranks:
    """The ranks of a job, as one of them sees them.

    Attributes:
        rank: which one this process is; counts from 0.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1, values: Path | None = None) -> None:
        """Args: rank and size: as the attributes; values: the file of values, where there are several ranks."""
        self.rank, self.size = rank, size
        self._buffer: Any = None
        if size > 1:
            from torch.distributed.rendezvous import rendezvous

            self._values, _, _ = next(rendezvous(f"file://{values}", rank, size))
            self._values.set_timeout(VALUE_LIMIT)

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes, speaks and decides."""
        return self.rank == 0

    def decided(self, name: str, decide: Callable[[], T]) -> T:
        """What the first rank decides, on all ranks; a JSON value. The others wait for it.

        Args:
            name: of the decision; each is made once.
            decide: called on the first rank alone.
        """
        if self.size == 1:
            return decide()
        if self.first:
            value = decide()
            self._tell(name, value)
            return value
        heard: T = self._hear(name)
        return heard

    def first_before_others(self, name: str, work: Callable[[], T]) -> T:
        """The same work on every rank; the first has done it before the others begin, so that they find its files."""
        if self.first:
            done = work()
            if self.size > 1:
                self._tell(name, None)
            return done
        self._hear(name)
        return work()

    def gathered(self, name: str, value: T) -> list[T]:
        """A JSON value of every rank, in their order, on all ranks; `name`: each is gathered once."""
        if self.size == 1:
            return [value]
        self._tell(f"{name} {self.rank}", value)
        return [self._hear(f"{name} {rank}") for rank in range(self.size)]

    def join(self) -> None:
        """Form the process group; to be called on every rank once its model is loaded."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo",
            store=self._values,
            rank=self.rank,
            world_size=self.size,
            timeout=SUM_LIMIT,
        )
        self.total(0.0)  # NCCL takes its memory at the first sum

    def leave(self) -> None:
        """Wait until every rank is here, and part."""
        if self.size == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            self.total(0.0)
            dist.destroy_process_group()

    def total(self, number: float) -> float:
        """The sum of a number over all ranks."""
        if self.size == 1:
            return number
        import torch
        import torch.distributed as dist

        summed = torch.tensor(number, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
        dist.all_reduce(summed)
        return float(summed)

    def add_up(self, tensors: Sequence[Any], numbers: Sequence[Any]) -> Any:
        """Put into each tensor its sum over all ranks, in one all-reduce of float32.

        Args:
            tensors: of the same shapes on all ranks, on the device of each.
            numbers: scalars to be summed with them.

        Returns:
            The sums of the numbers, float32 (numbers).
        """
        import torch

        if self.size == 1:
            return torch.tensor([float(number) for number in numbers])
        import torch.distributed as dist

        sizes = [tensor.numel() for tensor in tensors]
        if self._buffer is None or len(self._buffer) != sum(sizes) + len(numbers):
            self._buffer = torch.empty(sum(sizes) + len(numbers), dtype=torch.float32, device=tensors[0].device)
        *pieces, sums = torch.split(self._buffer, [*sizes, len(numbers)])
        for tensor, piece in zip(tensors, pieces, strict=True):
            piece.copy_(tensor.reshape(-1))
        for place, number in enumerate(numbers):
            sums[place] = number
        dist.all_reduce(self._buffer)
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))
        return sums.clone()

    def _tell(self, name: str, value: Any) -> None:
        self._values.set(name, json.dumps(value))

    def _hear(self, name: str) -> Any:
        return json.loads(self._values.get(name))


_here = Ranks()


def ranks_here() -> Ranks:
    """The ranks of the job that this process runs."""
    return _here


def become(ranks: Ranks) -> None:
    """Make this process one of some ranks; to be called once, before the job."""
    global _here
    _here = ranks
