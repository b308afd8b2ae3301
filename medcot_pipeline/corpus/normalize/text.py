"""Normalisation of one text: for training (`normalize_text`) and for comparing (`comparison_key`).

The key folds more than the text and still keeps the quantity: 10⁹/L and 109/L, 5～10 and 510, (+) and (-) have
different keys.

Belongs here: running the rules until none changes anything, and the fold that makes a comparison key.
Does not belong here: the rules (text_rules.py), options of a question (options.py), tables of rows (table.py).
"""

import re
import unicodedata
from typing import NamedTuple

from medcot_pipeline.corpus.normalize.text_rules import LOWERED, RAISED, RULES

MAX_PASSES = 8
"""Passes over the rules; genuine text needs two. Markup nested deeper than this is left as the last pass leaves it."""


class Conversion(NamedTuple):
    """What one rule did to a text."""

    rule: str
    before: str
    after: str


_UNCONDITIONAL = tuple(rule for rule in RULES if not rule.needs)
_NEEDED = re.compile("[" + re.escape("".join(rule.needs for rule in RULES)) + "]")


def trace(text: str) -> tuple[str, list[Conversion]]:
    """The normalised text, and every conversion on the way, in order."""
    conversions: list[Conversion] = []
    for _ in range(MAX_PASSES):
        start = text
        for rule in RULES if _NEEDED.search(text) else _UNCONDITIONAL:
            after = rule.apply(text)
            if after != text:
                conversions.append(Conversion(rule.name, text, after))
                text = after
        if text == start:
            break
    return text, conversions


def normalize_text(text: str) -> str:
    """The text for training: the rules of `RULES` until none changes anything.

    Idempotent. Digits, signs, comparisons, ranges and exponents stay; only a tag's digits change their form
    (`10<sup>9</sup>` to 10⁹).
    """
    return trace(text)[0]


def _table(characters: str, replacements: str) -> dict[int, str | None]:
    """A table for `str.translate`, one character to one."""
    return {ord(char): replacement for char, replacement in zip(characters, replacements, strict=True)}


_SUPERSCRIPT_RUN = re.compile(f"[{RAISED}]+")
_PLAIN = str.maketrans(RAISED, "0123456789+-=()nm")
_KEY_TABLE: dict[int, str | None] = {
    **_table(LOWERED, "0123456789+-=()"),
    **{code: unicodedata.normalize("NFKC", chr(code)).casefold() for code in range(0x2160, 0x2180)},
    **_table("≦≧⩽⩾×✕✖μ～〜∼–＾＿．", "≤≥≤≥×××u~~~-^_."),
    ord("℃"): "°c",
    ord("℉"): "°f",
}
_LONE_DOT = re.compile(r"\.(?!\d)")
_BLANKS = re.compile(r"\s+")
_LOOSE_BLANK = re.compile(r" (?:(?<!\d )|(?!\d))")
_FORMULA_BLANK = re.compile(r"([a-z]\d[\d.]*) (?=\d)")
_ION = re.compile(r"\^(?<=[a-z]\^)(\d)([+-])(?!\d)")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_DIGIT_TIMES = re.compile(r"[x*](?:(?<=\d.)|(?<=\d .))(?= ?\d)")
_DIGIT_RANGE = re.compile(r"[-~—](?<=\d.)(?=\d)")
_MARK = r"""[，。、；：？！,;:?!"'“”‘’《》〈〉「」『』【】\[\](){}（）…—·*_]"""
_SEPARATORS = re.compile(rf"{_MARK}(?<=\d.){_MARK}*(?=\d)")
_MARKS_ELSEWHERE = re.compile(f"{_MARK}+")


def _superscript(match: re.Match[str]) -> str:
    """A mass number (⁹⁹ᵐTc) and the charge of an ion that is a sign alone plain, everything else as `^9`."""
    plain = match[0].translate(_PLAIN)
    before, after = match.string[max(0, match.start() - 1) : match.start()], match.string[match.end() : match.end() + 1]
    exponent = before in (")", "）", "]") or (before.isascii() and before.isalnum())
    mass_number = not exponent and after.isascii() and after.isupper()
    return plain if mass_number or not any(char.isalnum() for char in plain) else f"^{plain}"


def _separator(match: re.Match[str]) -> str:
    return "\x1f" if ":" in match[0] or "：" in match[0] else "\x1e"


def fold(text: str) -> str:
    """The comparison key of a text that is already normalised.

    Case, blanks, width, Roman numerals, subscripts and sentence marks fold away; an exponent is written with `^`,
    a range of digits with `~`, and a mark between two digits stays (`,` or `:`), so that no two numbers run together.
    """
    text = _SUPERSCRIPT_RUN.sub(_superscript, text).casefold().translate(_KEY_TABLE)
    text = _fold_blanks(_DIGIT_TIMES.sub("×", _LONE_DOT.sub("", text)))
    text = _ION.sub(r"\1\2", text)
    if "," in text:
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _DIGIT_RANGE.sub("~", text)
    text = _MARKS_ELSEWHERE.sub("", _SEPARATORS.sub(_separator, text))
    return text.replace("\x1e", ",").replace("\x1f", ":")


def _fold_blanks(text: str) -> str:
    """Blanks go, but one stays between two numbers, unless the first ends a formula (PaO2 40)."""
    if " " not in text and "\n" not in text:
        return text
    text = _FORMULA_BLANK.sub(r"\1", _BLANKS.sub(" ", text))
    return _LOOSE_BLANK.sub("", text)


def comparison_key(text: str) -> str:
    """What two texts share if they say the same thing: `fold` of the normalised text.

    `comparison_key(normalize_text(text)) == comparison_key(text)` for every text.
    """
    return fold(normalize_text(text))
