"""Marks of list items, in Chinese and English: bullets, numbers in all their writings, letters.

Belongs here: finding them at line starts and inside lines.
Does not belong here: what makes a list of them (lists.py).
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from medcot_pipeline.evaluation.answers.rules.text import visible

_HAN_NUMBER = "[一二三四五六七八九十]{1,3}"
_ONE_SIGN = r"[\u2460-\u249b\u24f5-\u24fe\u2776-\u2793\u3220-\u3229\u3280-\u3289\u2160-\u216b\u2170-\u217b]"
_ENGLISH = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_LABELS = (
    "step|tip|habit|item|point|reason|rule|option|idea|action|cause|way|number|no|part|question|thing|suggestion|"
    "recommendation|步骤|建议|要点|方法|原因|措施|可能|习惯|条件|提示|理由|第"
)
_CLOSE = r"(?:\*\*|__)?"
_DIGITS = rf"(?P<digits>[0-9]{{1,2}}){_CLOSE}(?P<stop>[ ]?\\?[.:，](?![0-9])|[、)。]|[ ][-–—](?=[ ]))"
_NUMBERS = rf"""
    {_DIGITS}
  | [(\[【〔](?P<brackets>[0-9]{{1,2}}|{_HAN_NUMBER})[)\]】〕][.、:]?
  | (?P<signs>{_ONE_SIGN})[.、:)]?
  | (?P<keycaps>(?:[0-9]\u20e3){{1,2}}|\U0001f51f)
  | (?P<han>{_HAN_NUMBER}){_CLOSE}(?:[、:.])
  | (?P<are>[一二三四五六七八九十])是
  | 第(?P<steps>[0-9]{{1,2}}|{_HAN_NUMBER})(?:步骤?|条|点|项|招|种|(?=[，,、:]))
  | (?P<label>(?i:{_LABELS}))[ ]?[\#]?(?P<labelled>[0-9]{{1,2}}|{_HAN_NUMBER}|(?i:{"|".join(_ENGLISH)})\b){_CLOSE}
    (?:[.:)、](?![0-9])|(?=[ \n]|$))
  | (?P<bare>[0-9]{{1,2}})[ ]+(?=[^\W\d_])
  | [\#](?P<hashed>[0-9]{{1,2}})(?:[.:)]|(?=[ ]))
"""
_AT_LINE_START = re.compile(
    rf"""^(?P<indent>[ ]*)(?P<wrap>(?:>[ ]?)*(?:\#{{1,6}}[ ]+)?(?:[-*+•][ ]+)?{_CLOSE})(?:{_NUMBERS}
  | (?P<roman>[IVX]{{1,4}}|[ivx]{{1,4}})[.)](?=[ ])
  | (?P<letters>[A-Za-z])[.)、](?![A-Za-z0-9.])
  )|^(?P<indent_2>[ ]*)(?:>[ ]?)*(?P<bullets>[-*+–—](?=[ ]|$)|-(?![-0-9])|[•·●○◦▪■◆▶►✓✔☑✅👉※])""",
    re.MULTILINE | re.VERBOSE,
)
_IN_LINE = re.compile(
    rf"""(?<![0-9A-Za-z./%-])(?:
    (?P<digits>[0-9]{{1,2}})(?:[.](?![0-9])|[、)])
  | [(](?P<brackets>[0-9]{{1,2}}|{_HAN_NUMBER})[)]
  | (?P<signs>{_ONE_SIGN})
  | (?P<keycaps>(?:[0-9]\u20e3){{1,2}}|\U0001f51f)
  | (?:(?<=[，。；;,:、 \n])|^)(?P<are>[一二三四五六七八九十])(?:是|、)
  | 第(?P<steps>[0-9]{{1,2}}|{_HAN_NUMBER})(?:步骤?|条|点|项|招|种|(?=[，,、:]))
  | (?i:step|步骤)[ ]?(?P<labelled>[0-9]{{1,2}}|{_HAN_NUMBER}|(?i:{"|".join(_ENGLISH)})\b)[.:)、]?
  )""",
    re.VERBOSE,
)
_DRAWN_LINE = re.compile(r"^[ ]*(?:[-*_=+][ ]*){3,}$", re.MULTILINE)
_WIDTHS = {0xFF01 + at: 0x21 + at for at in range(94) if chr(0xFF01 + at) != "，"} | {
    0x3000: "  ",
    0xA0: " ",
    9: "    ",
}
_KINDS = (
    "digits",
    "brackets",
    "signs",
    "keycaps",
    "han",
    "are",
    "steps",
    "labelled",
    "hashed",
    "bare",
    "roman",
    "letters",
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")


@dataclass(frozen=True)
class ItemMark:
    """A mark of an item: its kind, how exactly it is written, its number (None: a bullet or a letter), its place."""

    kind: str
    style: str
    number: int | None
    indent: int
    start: int
    end: int


def prepared(text: str) -> str:
    """A text whose marks have one width: full-width signs as ASCII, `<br>` as a new line, drawn lines left out."""
    broken = re.sub(r"<br */?>", "\n", visible(text), flags=re.IGNORECASE).translate(_WIDTHS)
    return _DRAWN_LINE.sub("", broken)


def marks_at_line_starts(text: str) -> list[ItemMark]:
    """Marks with which lines of a prepared text begin, Markdown headings, quotations and bold type before them.

    A number without a sign behind it, as in `1 Rest`, is a mark where there is no other and the numbers go 1, 2, 3.
    """
    marks = [_mark(match) for match in _AT_LINE_START.finditer(text)]
    if signed := [mark for mark in marks if mark.kind != "bare"]:
        return signed
    return marks if len(marks) > 1 and counts_up(marks) else []


def counts_up(marks: list[ItemMark]) -> bool:
    """Whether the numbers of marks go 1, 2, 3."""
    return [mark.number for mark in marks] == list(range(1, len(marks) + 1))


def marks_in_lines(text: str) -> Iterator[list[ItemMark]]:
    """Numbers anywhere in a prepared text, by kind, the kind that comes first first."""
    marks = [_mark(match) for match in _IN_LINE.finditer(text)]
    for kind in dict.fromkeys(mark.kind for mark in marks):
        yield [mark for mark in marks if mark.kind == kind]


def _mark(match: re.Match[str]) -> ItemMark:
    groups = match.groupdict()
    indent = len(groups.get("indent") or groups.get("indent_2") or "")
    if bullet := groups.get("bullets"):
        return ItemMark(f"bullet {bullet}", bullet, None, indent, match.start(), match.end())
    kind = next(name for name in _KINDS if groups.get(name))
    style = " ".join((kind, groups.get("wrap") or "", groups.get("stop") or ""))
    number = None if kind == "letters" else _number(groups[kind])
    return ItemMark(kind, style, number, indent, match.start(), match.end())


def _number(written: str) -> int:
    """The number that a mark writes; 0 where it writes none, such as 十十."""
    text = written.replace("\u20e3", "").casefold()
    if text.isascii() and text.isdecimal():
        return int(text)
    if text in _ENGLISH:
        return _ENGLISH.index(text) + 1
    if text in _ROMAN:
        return _ROMAN.index(text) + 1
    if text == "\U0001f51f":
        return 10
    if len(text) == 1:
        return int(unicodedata.numeric(text, 0))
    tens, _, ones = text.partition("十")
    return int(10 * unicodedata.numeric(tens or "一", 0) + (unicodedata.numeric(ones, 0) if ones else 0))
