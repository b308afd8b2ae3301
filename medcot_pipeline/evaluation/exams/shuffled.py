"""Options of a question in another order, so that no model is helped by a liking for a letter.

Belongs here: taking the options apart, their order from the seed, the key under the new letters.
Does not belong here: reading questions (files.py), asking (asking.py).
"""

import dataclasses
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from medcot_pipeline.evaluation.exams.files import ExamQuestion, option_texts, rendered

_SPEAKS_OF_OTHERS = re.compile(
    r"以上(?=[都均全皆各所三两四几选答说情])|上述|前述|[A-H][、,，和与及+]\s?[A-H]"
    r"|\b(?:the (?:above|foregoing)|(?:all|none|both|neither) of (?:the|these))\b"
    r"|[A-H]项|选项 ?[A-H]|\b[A-H] ?(?:and|or|&) ?[A-H]\b|\boptions? [A-H]\b",
    re.IGNORECASE,
)
"""In the text of an option that means something else in another place."""


class Shown(NamedTuple):
    """Questions as they are asked, and in a sentence for each exam which keep the order of their options."""

    questions: list[ExamQuestion]
    kept_order: list[str]


def shuffle_options(questions: Sequence[ExamQuestion], seed: int) -> Shown:
    """Every question with its options in an order from the seed, the same for every model.

    A question stays as it is where its options cannot be taken apart, or where one speaks of the others or of a letter,
    such as "all of the above".

    Args:
        questions: as the files have them.
        seed: the same seed gives the same orders, whatever other questions there are.
    """
    shown: list[ExamQuestion] = []
    kept: dict[str, list[str]] = {}
    for question in questions:
        texts = option_texts(question)
        if _SPEAKS_OF_OTHERS.search("\n".join(texts.values())) or not _rests_on(question, texts):
            kept.setdefault(question.exam, []).append(question.id)
            shown.append(question)
        else:
            shown.append(_in_order_of(question, texts, seed))
    sentences = [
        f"{exam}: {len(ids):,} of its questions keep the order of their options, first {ids[0]}."
        for exam, ids in kept.items()
    ]
    return Shown(shown, sentences)


def _rests_on(question: ExamQuestion, texts: dict[str, str]) -> bool:
    """Whether the texts are known of all options, and stand apart from the question."""
    return bool(question.options) and len(texts) > 1 and set(question.answer) <= set(texts) and all(texts.values())


def _in_order_of(question: ExamQuestion, texts: dict[str, str], seed: int) -> ExamQuestion:
    letters = list(texts)
    order = random.Random(f"{seed} {question.exam} {question.id}").sample(letters, len(letters))
    return dataclasses.replace(
        question,
        options=rendered({letter: texts[old] for letter, old in zip(letters, order, strict=True)}),
        answer="".join(sorted(letter for letter, old in zip(letters, order, strict=True) if old in question.answer)),
        order="".join(order),
    )
