"""Rows of token ids for tests of how steps are cut."""

import random

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.training.rows import TrainingRow


def row(number: int, tokens: int) -> TrainingRow:
    """A row whose ids name it, so that it can be told apart."""
    ids = [number * 1000 + place for place in range(tokens)]
    prompt = max(1, tokens // 5)
    return TrainingRow(ids, [IGNORED_LABEL] * prompt + ids[prompt:])


def rows_of(lengths: list[int]) -> list[TrainingRow]:
    return [row(number, tokens) for number, tokens in enumerate(lengths, start=1)]


def realistic(count: int) -> list[TrainingRow]:
    """Lengths as the genuine rows have them: mean 550, 95 % below 780, at most 1,040."""
    draw = random.Random(5)
    return rows_of([min(1040, max(220, round(draw.gauss(550, 135)))) for _ in range(count)])
