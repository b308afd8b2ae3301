"""Score intervals for two proportions of the same items: their difference and their ratio.

A score interval holds every value that the data do not reject, with the variance that this value itself implies. So it
has a width where nothing varies in the sample (12 wins of 12, no prompt on which the arms differ), and stays within
its bounds.

Belongs here: intervals out of the counts of paired items, whole or effective.
Does not: counting verdicts or passes, clusters (intervals.py, adjudicated.py).
"""

import math
from collections.abc import Callable

Z = 1.959963984540054
"""Of 95 %, two-sided."""
CLOSE = 1e-12
MOST_HALVINGS = 200


def difference_interval(first_only: float, second_only: float, n: float) -> tuple[float, float]:
    """95 % score interval of p(first) - p(second) of paired items (Tango 1998, Statistics in Medicine 17, 891-908).

    With first_only = wins and second_only = losses it is that of the net preference.

    Args:
        first_only: items that the first alone has; as all three, a count or an effective one.
        second_only: items that the second alone has.
        n: all items, above 0; at least the sum of both.

    Returns:
        Lower and upper end in [-1, 1].
    """

    def excess(delta: float) -> float:
        """(observed - delta)² n over its variance at delta, less z²: negative within the interval."""
        middle = -first_only - second_only + (2 * n - first_only + second_only) * delta
        last = -second_only * delta * (1 - delta)
        second = (math.sqrt(max(0.0, middle * middle - 8 * n * last)) - middle) / (4 * n)
        variance = n * (2 * second + delta * (1 - delta))
        return (first_only - second_only - n * delta) ** 2 - Z * Z * max(0.0, variance)

    found = (first_only - second_only) / n
    return _end(excess, found, -1.0), _end(excess, found, 1.0)


def ratio_interval(both: float, first_only: float, second_only: float, n: float) -> tuple[float, float]:
    """95 % score interval of p(first) / p(second) of paired items (Tang, Tang and Chan 2003, Statistics in Medicine 22).

    Args:
        both: items that both have.
        first_only: items that the first alone has.
        second_only: items that the second alone has; with `both` above 0.
        n: all items.

    Returns:
        Lower end, at least 0, and upper end, which can be infinite.
    """
    first, second, any_ = both + first_only, both + second_only, both + first_only + second_only

    def excess(ratio: float) -> float:
        lead = n * (1 + ratio)
        middle = second * ratio * ratio - (first + second_only + second_only - 0.0)
        last = second_only * (1 - ratio) * any_ / n
        alone = (math.sqrt(max(0.0, middle * middle - 4 * lead * last)) - middle) / (2 * lead)
        variance = lead * alone + any_ * (ratio - 1)
        return (first - ratio * second) ** 2 - Z * Z * max(0.0, variance)

    found, far = first / second, 1.0
    while far <= found or excess(far) < 0:
        far *= 2
        if far > 1e9:
            return _end(excess, found, 0.0), math.inf
    return _end(excess, found, 0.0), _end(excess, found, far)


def _end(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Where `excess` becomes positive between a value that is held and the bound on one side; the bound if nowhere."""
    if excess(outside) <= 0:
        return outside
    for _ in range(MOST_HALVINGS):
        middle = (inside + outside) / 2
        if abs(outside - inside) < CLOSE:
            break
        if excess(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2
