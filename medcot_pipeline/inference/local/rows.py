"""Requests that run, wait or are finished, and what the device knows of each.

Belongs here: the order, a request's tokens so far, the columns of its line.
Does not belong here: moving lines to the device (runner.py), what is left to write (expected/).
"""

import dataclasses
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from medcot_pipeline.inference.requests import Continuation, Request

TOKEN, POSITION, STEP, SEED, TEMPERATURE, TOP_P, TABLE = range(7)
"""Columns of a row's line of 32-bit integers, which one copy brings to the device with all others: the token that goes
in next, its position, the number of the token to be chosen among those written, the request's seed, the bits of two
float32, and from `TABLE` on the blocks of the cache that the row has."""


def floats(column: Any) -> Any:
    """Bits as the float32 numbers that they are."""
    import torch

    return column.view(torch.float32)


@dataclasses.dataclass
class Row:
    """A request that is being written.

    Attributes:
        request: what was asked.
        written: tokens so far.
        blocks: of the cache, while it runs.
        ended: whether a token ended it.
    """

    request: Request
    written: list[int] = dataclasses.field(default_factory=list)
    blocks: list[int] = dataclasses.field(default_factory=list)
    ended: bool = False

    @property
    def ids(self) -> list[int]:
        """Prompt and what was written."""
        return [*self.request.prompt_ids, *self.written]

    @property
    def last(self) -> int:
        """The token that goes in next."""
        return self.written[-1] if self.written else self.request.prompt_ids[-1]

    @property
    def position(self) -> int:
        """Of the last token written, whose keys are not in the cache yet."""
        return len(self.request.prompt_ids) + len(self.written) - 1

    @property
    def over(self) -> bool:
        """Whether nothing more is written."""
        return self.ended or len(self.written) >= self.request.max_tokens

    def add(self, token: int, *, ended: bool) -> None:
        """Note a token that was chosen; what is chosen after the end is dropped."""
        if self.over:
            return
        self.ended = ended
        if not ended:
            self.written.append(token)

    def result(self) -> Continuation:
        """What came of it."""
        return Continuation(self.request.id, tuple(self.written), self.ended)


def line_of(row: Row) -> list[int]:
    """A row's line up to `TABLE`."""
    request, sampling = row.request, row.request.sampling
    temperature, top_p, seed = struct.unpack(
        "<3i", struct.pack("<2fI", sampling.temperature, sampling.top_p, request.seed)
    )
    return [row.last, row.position, len(row.written), seed, temperature, top_p]


def fill_lines(lines: Any, rows: Sequence[Row]) -> None:
    """Write the lines of some rows, the first ones of a [rows, columns] array; the rest of a line is nobody's block."""
    lines[: len(rows)] = 0
    for line, row in zip(lines, rows, strict=False):
        line[:TABLE] = line_of(row)
        line[TABLE : TABLE + len(row.blocks)] = row.blocks


def longest_first(requests: Iterable[Request]) -> list[Request]:
    """In the order in which they start: what may take longest first, so that it does not run alone at the end."""
    return sorted(requests, key=lambda request: (-request.max_tokens, -len(request.prompt_ids)))
