"""Score intervals of a share, and of two shares of the same items: their difference and their ratio.

A score interval holds every value that the data do not reject, with the variance that this value itself implies. So it
has a width where nothing varies in the sample (12 wins of 12, no prompt on which the arms differ), and keeps within
what is possible.

Belongs here: both ends out of counts, whole ones or effective ones.
Does not belong here: counting verdicts or passes, clusters (intervals.py, adjudicated.py).
"""

import math
from collections.abc import Callable

Ends = tuple[float, float]
"""Lower and upper end of a 95 % interval."""
Z = 1.959963984540054
"""Of 95 %, two-sided."""
CLOSE = 1e-10


def share_ends(passed: float, n: float) -> Ends:
    """Of a share (Wilson 1927); n above 0."""
    share, weight = passed / n, Z * Z / n
    middle = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return middle - half if passed else 0.0, middle + half if passed < n else 1.0


def difference_ends(first_only: float, second_only: float, n: float) -> Ends:
    """Of p(first) - p(second) over the same items (Tango 1998, Statistics in Medicine 17:891).

    With first_only = wins and second_only = losses it is that of the net preference.

    Args:
        first_only: items that the first alone has.
        second_only: items that the second alone has.
        n: all items, above 0; at least the sum of both.

    Returns:
        Both within [-1, 1].
    """

    def excess(delta: float) -> float:
        """What makes a difference rejected, where above 0: its squared distance, less z² times its variance."""
        middle = (2 * n - first_only + second_only) * delta - first_only - second_only
        last = -second_only * delta * (1 - delta)
        second = (math.sqrt(max(0.0, middle * middle - 8 * n * last)) - middle) / (4 * n)
        variance = n * (2 * second + delta * (1 - delta))
        return (first_only - second_only - n * delta) ** 2 - Z * Z * max(0.0, variance)

    found = (first_only - second_only) / n
    return _end(excess, found, -1.0), _end(excess, found, 1.0)


def ratio_ends(both: float, first_only: float, second_only: float, n: float) -> Ends:
    """Of p(first) / p(second) over the same items (Tang, Tang and Chan 2003, Statistics in Medicine 22:1217).

    Args:
        both: items that both have.
        first_only: items that the first alone has.
        second_only: items that the second alone has; with `both` above 0.
        n: all items, above 0.
    """
    first, second, either = both + first_only, both + second_only, both + first_only + second_only

    def excess(ratio: float) -> float:
        lead = n * (1 + ratio)
        middle = second * ratio * ratio - first - 2 * second_only
        last = second_only * (1 - ratio) * either / n
        alone = (math.sqrt(max(0.0, middle * middle - 4 * lead * last)) - middle) / (2 * lead)
        variance = lead * alone + either * (ratio - 1)
        return (first - ratio * second) ** 2 - Z * Z * max(0.0, variance)

    found = first / second
    far = 2 * found + 1
    while excess(far) <= 0:  # the squared distance grows faster than the variance
        far *= 2
    return _end(excess, found, 0.0), _end(excess, found, far)


def _end(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Between a value that is held and a bound, where `excess` becomes positive; the bound where it does not."""
    if excess(outside) <= 0:
        return outside
    while abs(outside - inside) > CLOSE * max(1.0, abs(outside)):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if excess(middle) <= 0 else (inside, middle)
    return inside
