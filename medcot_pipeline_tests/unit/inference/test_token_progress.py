"""The time left that is told while requests are written, against what then remains: simulated."""

import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.inference.local.expected.lengths import Ahead, AnswerLengths, expected_ahead
from medcot_pipeline.inference.local.expected.progress import StepSeconds, TokenProgress
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.requests import Continuation, Request, Sampling

MOST = 2048
QUANTILES = (446, 489, 525, 555, 577, 597, 620, 641, 664, 685, 717, 744, 762, 785, 819, 853, 900, 941, 1003, 1144)
"""Tokens of reasoning and response of 465 genuine rows, stretched to a median of 700: twenty of equal weight."""
Cost = Callable[[int, int], float]
"""Seconds of a step, by the rows that have a place and the tokens that they read."""


def reasoning_lengths(count: int, longest: int = MOST) -> list[int]:
    """Lengths by the quantiles of genuine rows, in a random order; one runs to the most."""
    lengths = [QUANTILES[int((n + 0.5) / count * len(QUANTILES))] for n in range(count - 1)]
    lengths.append(longest)
    random.Random(0).shuffle(lengths)
    return lengths


def requests_for(count: int, most: int = MOST, prompt: int = 96) -> list[Row]:
    return [Row(Request(str(n), (0,) * prompt, Sampling(), 0, most)) for n in range(count)]


class Simulated:
    """Requests of known lengths, written on a device that takes what `cost` says."""

    def __init__(self, lengths: list[int], places: int, cost: Cost, *, looks: int, in_groups: bool, most: int) -> None:
        self.now, self.told = 0.0, list[tuple[float, int, float]]()
        self._tokens = 0
        progress = TokenProgress("answers", self._hear, in_groups=in_groups, clock=lambda: self.now)
        waiting, running, finished = requests_for(len(lengths), most), list[Row](), list[Continuation]()
        while waiting or running:
            if not (in_groups and running):
                at_once = 0
            while waiting and max(at_once, len(running)) < places:
                running.append(waiting.pop(0))
                self.now += 0.02  # its prompt is read
            at_once = max(at_once, len(running)) if in_groups else len(running)
            read = sum(row.position for row in running)
            for _ in range(looks):
                self.now += cost(at_once, sum(row.position for row in running))
                for row in running:
                    row.add(0, ended=len(row.written) + 1 >= lengths[int(row.request.id)])
            finished += [row.result() for row in running if row.over]
            running = [row for row in running if not row.over]
            self._tokens = sum(len(each.token_ids) for each in finished) + sum(len(row.written) for row in running)
            progress(looks, finished, running, waiting, at_once=at_once, read=read)

    def _hear(self, line: str) -> None:
        match = re.search(r"(?:(\d+) h )?(?:(\d+) min ?)?(?:(\d+) s )?left", line)
        if match:
            hours, minutes, seconds = (int(each or 0) for each in match.groups())
            self.told.append((self.now, self._tokens, 3600 * hours + 60 * minutes + seconds))

    def at(self, share: float, *, of_tokens: bool) -> float:
        """What was told over what remained, where this share of the time or of the tokens was over."""
        place = 1 if of_tokens else 0
        whole = self._tokens if of_tokens else self.now
        line = min(self.told, key=lambda each: abs(each[place] - share * whole))
        return line[2] / (self.now - line[0])


def gpu(places: int, read: int) -> float:
    """Weights of 15.6 GB, 57 kB for each token read, slow enough for lines every five seconds."""
    return (15.6e9 + 57_344 * read) / 60e9


def steady(places: int, read: int) -> float:
    return 0.1


DEVICES = {
    "all at once": (100, 128, gpu, 8, False, MOST),
    "places taken again": (100, 32, gpu, 8, False, MOST),
    "in groups": (100, 8, steady, 1, True, MOST),
    "exams": (200, 128, gpu, 8, False, 4096),
}


@pytest.fixture(scope="module", params=DEVICES)
def written(request: pytest.FixtureRequest) -> Simulated:
    count, places, cost, looks, in_groups, most = DEVICES[request.param]
    return Simulated(reasoning_lengths(count, most), places, cost, looks=looks, in_groups=in_groups, most=most)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("of_tokens", [True, False], ids=["tokens", "time"])
def test_the_time_left_holds(written: Simulated, share: float, of_tokens: bool) -> None:
    assert 0.7 <= written.at(share, of_tokens=of_tokens) <= 1.3


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_time_left_holds_where_nothing_ends_by_itself(share: float) -> None:
    told = Simulated([160] * 24, 16, steady, looks=1, in_groups=False, most=160)
    assert 0.9 <= told.at(share, of_tokens=False) <= 1.1


def test_a_machine_that_gets_slower_is_believed_within_a_minute_or_two() -> None:
    class Slower:
        now = 0.0

    def cost(places: int, read: int) -> float:
        Slower.now += 0.1 if Slower.now < 100 else 0.3
        return 0.1 if Slower.now < 100 else 0.3

    told = Simulated([2048] * 16, 16, cost, looks=8, in_groups=False, most=2048)
    assert 0.8 <= told.at(0.6, of_tokens=False) <= 1.2


def test_finished_requests_are_all_that_is_counted_at_the_end() -> None:
    assert expected_ahead([(10, True), (300, False)], [], [], 4) == Ahead(0, 0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=30),
    st.lists(st.integers(0, 2047), max_size=20),
    st.integers(0, 20),
    st.integers(1, 9),
    st.booleans(),
)
def test_what_is_expected_is_possible(
    finished: list[tuple[int, bool]], so_far: list[int], waiting: int, places: int, in_groups: bool
) -> None:
    rows = requests_for(len(so_far) + waiting)
    running, later = rows[: len(so_far)], rows[len(so_far) :]
    for row, tokens in zip(running, so_far, strict=True):
        row.written = [0] * tokens
    ahead = expected_ahead(finished, running, later, places, in_groups=in_groups)
    assert len(rows) <= ahead.tokens + 1e-6
    assert ahead.tokens <= sum(MOST - len(row.written) for row in rows) + 1e-6
    assert ahead.tokens / max(places, len(running), 1) - 1e-6 <= ahead.steps <= ahead.tokens + 1e-6


@given(st.lists(st.integers(1, 5000), max_size=40), st.lists(st.integers(1, 5000), max_size=40), st.integers(0, 6000))
def test_longer_shares_are_longer(ended: list[int], longer: list[int], now: int) -> None:
    lengths = AnswerLengths(ended, longer)
    found = [lengths.at_share(share / 20, now, 10_000) for share in range(1, 20)]
    assert found == sorted(found)
    assert all(now < each <= 10_000 for each in found)


def test_running_requests_are_known_to_be_longer_than_they_are() -> None:
    drawn = random.Random(1)
    lengths = [round(drawn.lognormvariate(6.0, 0.4)) for _ in range(400)]
    now = 350
    found = AnswerLengths([each for each in lengths if each <= now], [now] * sum(each > now for each in lengths))
    assert found.at_share(0.5, 0, 5000) == pytest.approx(sorted(lengths)[200], rel=0.1)


def test_a_step_is_a_line_in_what_it_reads() -> None:
    step = StepSeconds()
    assert step.of(Ahead(1, 1, 1)) is None
    for read in (1000, 5000, 9000):
        step.note(8, 8 * (0.2 + read * 1e-5), read)
    assert step.of(Ahead(0, 100, 0)) == pytest.approx(20.0)
    assert step.of(Ahead(0, 100, 100 * 2000)) == pytest.approx(22.0)
