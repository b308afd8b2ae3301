"""Decoding steps recorded once for some numbers of rows and replayed: the host starts one thing instead of hundreds.

Belongs here: recording and replaying.
Does not belong here: what a step is (forward.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

WARM_UP_STEPS = 2


def row_counts(rows: int) -> list[int]:
    """Numbers of rows that steps are recorded for, rising: few rows are not to pay for many."""
    counts = [count for count in (1, 4, 8, 16, 32, 64, 96) if count < rows]
    return [*counts, *range(128, rows, 64), rows]


def record_steps(step: Callable[[Any], None], state: Any, counts: Sequence[int], pool: Any) -> dict[int, Any]:
    """Record a step of each number of rows, in one pool of memory, the largest first.

    Args:
        step: changes the state of some rows in place; asks the GPU nothing.
        state: [rows, columns] on the GPU; recordings read and write its first rows, where nobody is while recording.
        counts: numbers of rows.
        pool: of memory; recordings that never run side by side share one.

    Returns:
        Recordings by number of rows; `replay()` of one runs a step.
    """
    import torch

    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for count in sorted(counts, reverse=True):  # compiles and tunes what is so at first use
            state.zero_()
            for _ in range(WARM_UP_STEPS):
                step(state[:count])
    torch.cuda.current_stream().wait_stream(beside)
    torch.cuda.synchronize()
    state.zero_()
    recorded = {}
    for count in sorted(counts, reverse=True):
        recorded[count] = torch.cuda.CUDAGraph()
        # On the stream of the warm-up, which has cuBLAS's workspace already: it would stand in the pool once more.
        with torch.cuda.graph(recorded[count], pool=pool, stream=beside, capture_error_mode="relaxed"):
            step(state[:count])
    return recorded
