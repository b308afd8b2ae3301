"""Defects of a row, each a named rule.

Belongs here: what each rule looks for in a normalised row, and the piece of text that shows it.
Does not belong here: what generators and converters leave behind (generated.py, converted.py), repairing anything (a
lost exponent is never guessed), or what happens to the row (`NoiseActions`).
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from medcot_pipeline.corpus.normalize import converted, generated
from medcot_pipeline.corpus.normalize.chosen import chosen_letters
from medcot_pipeline.corpus.normalize.options import ParsedQuestion, split_options
from medcot_pipeline.corpus.normalize.places import Texts, first
from medcot_pipeline.corpus.normalize.text import fold
from medcot_pipeline.corpus.normalize.text_rules import HAN
from medcot_pipeline.settings import Action, NoiseActions, NormalizeSettings

_HAN_RUN = re.compile(f"[{HAN}]+")
_LATIN_RUN = re.compile("[A-Za-z]+")
FEW_LETTERS = 20
"""Letters below which the language of a field is not judged."""


class Letters(NamedTuple):
    """Numbers of Han characters and of Latin letters in a text."""

    han: int
    latin: int

    @classmethod
    def of(cls, text: str) -> "Letters":
        """Counts of a text."""
        return cls(sum(map(len, _HAN_RUN.findall(text))), sum(map(len, _LATIN_RUN.findall(text))))

    @property
    def language(self) -> str:
        """`zh` if at least half are Han, `en` if at most one in fifty is, else `mixed`, as for no letters at all."""
        if self.han and self.han >= self.latin:
            return "zh"
        return "en" if self.latin and self.han * 50 <= self.han + self.latin else "mixed"


class NormalizedRow(NamedTuple):
    """A normalised row, with what several rules need of it."""

    question: str
    reasoning: str
    answer: str
    parts: ParsedQuestion
    key: str
    letters: tuple[Letters, Letters, Letters]

    @classmethod
    def of(cls, question: str, reasoning: str, answer: str) -> "NormalizedRow":
        """The row with its question taken apart, the comparison key of its stem, and the letters of each field."""
        parts = split_options(question)
        letters = (Letters.of(question), Letters.of(reasoning), Letters.of(answer))
        return cls(question, reasoning, answer, parts, fold(parts.stem), letters)

    @property
    def language(self) -> str:
        """Language of the three fields together."""
        return Letters(sum(field.han for field in self.letters), sum(field.latin for field in self.letters)).language


class NoiseRule(NamedTuple):
    """A defect: `find` returns the text that shows it, or an empty string."""

    name: str
    find: Callable[[NormalizedRow, NormalizeSettings], str]

    def action(self, settings: NormalizeSettings) -> Action:
        """What the settings say about a row with this defect."""
        action: Action = getattr(settings.actions, self.name)
        return action


def _empty(row: NormalizedRow, settings: NormalizeSettings) -> str:
    fields = {"question": row.key, "reasoning": row.reasoning, "answer": row.answer}
    return next((f"{name} is empty" for name, text in fields.items() if not text), "")


def _too_short(row: NormalizedRow, settings: NormalizeSettings) -> str:
    fields = (
        ("question", row.question, settings.min_question_chars),
        ("reasoning", row.reasoning, settings.min_reasoning_chars),
        ("answer", row.answer, settings.min_answer_chars),
    )
    return next((f"{name}: {len(text)} < {least}" for name, text, least in fields if len(text) < least), "")


_IMAGE = re.compile(
    r"\[img|<img|如[上下左右附]?图|见[上下左右附]图|[见附]图 ?\d|[上左右]图为|下图(?![形像])"
    r"|(?<![电声心])图(?:像|片|中)?(?:所示|如下)|(?<![电声])图中"
    r"|所(?:提供|给|示)的?(?:\w{0,4})图|(?:结合|根据)[^，。；]{0,8}(?:图像|图片|照片)"
    r"|\b(?:image|picture|figure|photograph)s? (?:is |are )?(?:shown|below|above)"
    r"|\bshown in the (?:image|picture|figure|photograph)|\b(?:radiograph|x-ray|ecg|ct scan) is shown",
    re.IGNORECASE,
)


def _needs_image(row: NormalizedRow, settings: NormalizeSettings) -> str:
    return first(_IMAGE, row.question)


_SENTENCE_END = re.compile(r"[。！？!?.…~～”’\"'）)\]】》」*`|$}\U0001f000-\U0001faff]\Z")
_OPEN_END = re.compile(
    r"(?:[，、；,;（(“‘《—]|\b(?:and|or|the|a|of|to|with|because)|[和与及或但且]|因为|由于|例如|比如)\Z"
)


def _truncated(row: NormalizedRow, settings: NormalizeSettings) -> str:
    if row.reasoning and not _SENTENCE_END.search(row.reasoning[-1:]):
        return row.reasoning[-20:]
    return row.answer[-20:] if _OPEN_END.search(row.answer[-10:]) else ""


def _wrong_language(row: NormalizedRow, settings: NormalizeSettings) -> str:
    expected = settings.language or row.letters[0].language
    for name, letters in zip(("question", "reasoning", "answer"), row.letters, strict=True):
        enough = letters.han + letters.latin >= FEW_LETTERS
        if enough and {expected, letters.language} == {"zh", "en"}:
            return f"{name} is {letters.language}, not {expected}"
    return ""


_STEM_REMNANT = re.compile(
    rf"\A[（(]?题干|共用题干|\A[（(]?假设信息|[（(]\d{{1,3}}[～-]\d{{1,3}}题|\A\d{{1,3}}[.、] ?(?=[{HAN}])"
    r"|(?<![\d./～-])\d{1,3}\. ?(?:该|此|若|本例|上述)"
    r"|\A(?:本例|(?:该|此|上述)[^，。]{0,4}(?:患者|病人|患儿|小儿|孕妇|产妇))"
)


def _shared_stem_remnant(row: NormalizedRow, settings: NormalizeSettings) -> str:
    return first(_STEM_REMNANT, row.parts.stem)


def _has_options(row: NormalizedRow, settings: NormalizeSettings) -> str:
    return "".join(row.parts.options)


def _answer_letter_conflict(row: NormalizedRow, settings: NormalizeSettings) -> str:
    if not row.parts.options:
        return ""
    reasoned, answered = (chosen_letters(text, row.parts.options) for text in (row.reasoning, row.answer))
    return f"reasoning {reasoned}, answer {answered}" if reasoned and answered and reasoned != answered else ""


_LOST_EXPONENT = re.compile(r"[×xX*] ?[1l][0O](?:\d{0,2} ?/? ?L|\d{1,2} ?/ ?(?:ml|mL|μl|μL|mm³|mm))(?![A-Za-z])")


def _lost_exponent(row: NormalizedRow, settings: NormalizeSettings) -> str:
    return first(_LOST_EXPONENT, *row[:3])


_OCR_HINT = re.compile(r"[0-9.][OIl]|[Ol][0-9.～]")
_OCR = re.compile(
    r"(?<![A-Za-z\d.])\d[\d.]*"
    r"(?:[OIl](?=\d)|O(?![A-Za-z])|O(?=mm|cm|mg|kg|ml|g)|l(?=mm|cm|mg|kg|g))"
    r"|(?<![A-Za-z\d])l\d|(?<![A-Za-z\d])O(?=[.～]\d)"
)


def _ocr_digits(row: NormalizedRow, settings: NormalizeSettings) -> str:
    return first(_OCR, *(text for text in row[:3] if _OCR_HINT.search(text)))


def _in_texts(find: Callable[[Texts], str]) -> Callable[[NormalizedRow, NormalizeSettings], str]:
    return lambda row, settings: find(row[:3])


_FINDERS: dict[str, Callable[[NormalizedRow, NormalizeSettings], str]] = {
    "empty_after_normalisation": _empty,
    "placeholder": _in_texts(generated.placeholder),
    "mojibake_left": _in_texts(converted.mojibake),
    "error_message": _in_texts(generated.error_message),
    "too_short": _too_short,
    "chat_tokens": _in_texts(generated.chat_tokens),
    "chat_headings": _in_texts(generated.chat_headings),
    "needs_image": _needs_image,
    "repetition": _in_texts(generated.repetition),
    "copied_field": _in_texts(generated.copied_field),
    "refusal": _in_texts(generated.refusal),
    "replacement_characters": _in_texts(converted.replacement_characters),
    "html": _in_texts(converted.html),
    "literal_escapes": _in_texts(converted.literal_escapes),
    "truncated": _truncated,
    "wrong_language": _wrong_language,
    "shared_stem_remnant": _shared_stem_remnant,
    "has_options": _has_options,
    "answer_letter_conflict": _answer_letter_conflict,
    "lost_exponent": _lost_exponent,
    "ocr_digits": _ocr_digits,
    "traditional_characters": _in_texts(converted.traditional_characters),
}
NOISE_RULES: tuple[NoiseRule, ...] = tuple(NoiseRule(name, _FINDERS[name]) for name in NoiseActions.model_fields)
"""Every rule, in the order in which a row is judged: the first that drops a row is its reason."""
