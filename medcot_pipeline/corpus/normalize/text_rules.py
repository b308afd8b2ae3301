"""The rules that normalise a text for training, one step each, in their order.

A text changes as little as possible: never NFKC, never lower case, no conversion of scripts, no `<[^>]+>`. A digit,
sign, comparison, range or exponent is the same quantity afterwards.

Wrong decodings are undone first, while every character of them is there. Entities and full-width letters come before
tags because both can spell a tag; blanks come before punctuation because punctuation looks at its neighbours.

Belongs here: what each rule changes, and what it must not touch.
Does not belong here: running them (text.py), defects that only people can repair (noise.py).
"""

import html
import re
import unicodedata
from collections.abc import Callable
from html.entities import html5
from typing import NamedTuple

from medcot_pipeline.corpus.normalize import mojibake

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""The Han characters, as the inside of a regular expression's character class."""

SUPERSCRIPTS = str.maketrans("0123456789+-=()nm", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵐ")
SUBSCRIPTS = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
RAISED = "".join(map(chr, SUPERSCRIPTS.values()))
LOWERED = "".join(map(chr, SUBSCRIPTS.values()))


class Rule(NamedTuple):
    """One step of the normalisation.

    Attributes:
        name: as in counts and settings.
        finds: what it acts on, for people.
        apply: the step; returns its argument where there is nothing to change.
        needs: characters of which a text must have one for the rule to change it; none if that cannot be told.
    """

    name: str
    finds: str
    apply: Callable[[str], str]
    needs: str = ""


def _translation(name: str, finds: str, table: dict[int, str | None]) -> Rule:
    """A rule that replaces or removes single characters."""
    return Rule(name, finds, lambda text: text.translate(table), "".join(map(chr, table)))


_LINE_ENDS = "\x0b\x0c\x85\u2028\u2029"
_NEWLINE = re.compile(f"\r\n?|[{_LINE_ENDS}]")


def _unify_newlines(text: str) -> str:
    return _NEWLINE.sub("\n", text)


_INVISIBLE: dict[int, str | None] = {
    **dict.fromkeys([*range(0x00, 0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0), 0xAD]),
    **dict.fromkeys([0x200B, 0x200C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2065)]),
    **dict.fromkeys([*range(0x2066, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), 0xFFFE, 0xFFFF]),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_STRAY_JOINER = re.compile("\u200d(?<![\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]\u200d)")


def _drop_stray_joiners(text: str) -> str:
    """The zero-width joiner goes, but between emoji, which it makes one."""
    return _STRAY_JOINER.sub("", text)


_ENTITY = re.compile(r"&((?:amp;)*)([A-Za-z][A-Za-z0-9]{1,31};|#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});)")


def _entity(match: re.Match[str]) -> str:
    escaped, name = match.groups()
    if name[0] == "#":
        return html.unescape(f"&{name}")
    return html5.get(name) or (f"&{name}" if escaped else match[0])


def _decode_entities(text: str) -> str:
    return _ENTITY.sub(_entity, text)


def _compatibility_table() -> dict[int, str | None]:
    """Kangxi and other radicals to their characters, squared units to letters (㎡ to m², ㎧ to m/s)."""
    table: dict[int, str | None] = {}
    for code in (*range(0x2E80, 0x2FD6), *range(0x3371, 0x337B), *range(0x3380, 0x33E0)):
        folded = unicodedata.normalize("NFKC", chr(code))
        if folded != chr(code):
            table[code] = folded.replace("2", "²").replace("3", "³").replace("∕", "/")
    return table


def _width_table() -> dict[int, str | None]:
    """Full-width letters, digits, signs and comparisons to ASCII; every minus and hyphen to `-`; µ to μ."""
    wide = [
        *range(0xFF10, 0xFF1A),
        *range(0xFF21, 0xFF3B),
        *range(0xFF41, 0xFF5B),
        *map(ord, "％／＋＝＜＞－﹢﹣﹤﹥﹦﹪"),
    ]
    table: dict[int, str | None] = {code: unicodedata.normalize("NFKC", chr(code)) for code in wide}
    return table | {ord("µ"): "μ", 0x2212: "-", 0x2010: "-", 0x2011: "-"}


def _compose(text: str) -> str:
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


_SCRIPT = re.compile(r"<(su[pb])>([^<>]{0,40})</\1>", re.IGNORECASE)


def _script(match: re.Match[str]) -> str:
    """Unicode superscripts or subscripts where every character has one, else `^(…)` or `_(…)`."""
    raised = match[1].lower() == "sup"
    content = match[2].strip()
    converted = content.translate(SUPERSCRIPTS if raised else SUBSCRIPTS)
    if all(char in (RAISED if raised else LOWERED) for char in converted):
        return converted
    return f"{'^' if raised else '_'}({content})"


def _convert_scripts(text: str) -> str:
    return _SCRIPT.sub(_script, text)


_BREAK = re.compile(r"<br ?/?>|</(?:p|div|li|tr)>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:span|strong|em|font|div|center|small|big|ul|ol|li|table|tbody|tr|td|th)(?: [^<>]{0,200})?/?>", re.I
)
_SHORT_TAG = re.compile(r"</?([biup])>", re.IGNORECASE)


def _convert_breaks(text: str) -> str:
    return _BREAK.sub("\n", text)


def _drop_tags(text: str) -> str:
    """Formatting tags out. `<b>` may be a comparison, so one-letter tags go only where one is closed."""
    text = _TAG.sub("", text)
    closed = {match[1].lower() for match in _SHORT_TAG.finditer(text) if match[0][1] == "/"}
    return _SHORT_TAG.sub(lambda match: "" if match[1].lower() in closed else match[0], text) if closed else text


_WIDE_BLANKS = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNTIDY_BLANKS = re.compile(rf"[{_WIDE_BLANKS}]|  | \n|\n\n\n|\A[ \n]|[ \n]\Z")
_INDENT = re.compile(rf"^ *[{_WIDE_BLANKS}][ {_WIDE_BLANKS}]*", re.MULTILINE)
_WIDE_BLANK = re.compile(rf"[{_WIDE_BLANKS}]")
_BLANK_RUN = re.compile(r"(?<![\n ]) {2,}")
_TRAILING = re.compile(r"(?<! ) +$", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")


def _tidy_blanks(text: str) -> str:
    """One space for a run, none at a line's end, at most one empty line; indents of ASCII spaces (lists) stay."""
    if not _UNTIDY_BLANKS.search(text):
        return text
    text = _WIDE_BLANK.sub(" ", _INDENT.sub("", text))
    text = _TRAILING.sub("", _BLANK_RUN.sub(" ", text))
    return _EMPTY_LINES.sub("\n\n", text).strip("\n ")


_OPTION_DOT = re.compile(r"(?<![0-9A-Za-z])([A-H])． ?(?=\S)")
_NUMBER_DOT = re.compile(r"^(\d{1,3})． ?(?=[^\s\d])", re.MULTILINE)
_DECIMAL_DOT = re.compile(r"(?<=[0-9A-Za-z])．(?=[0-9A-Za-z])")
_STOP_DOT = re.compile(rf"．(?=[{HAN}\n]|\Z)")


def _resolve_dots(text: str) -> str:
    """The full-width `．`: a decimal point, the dot of an option or of a list, or a full stop."""
    text = _NUMBER_DOT.sub(r"\1. ", _OPTION_DOT.sub(r"\1. ", text))
    return _STOP_DOT.sub("。", _DECIMAL_DOT.sub(".", text))


_ENDS_RANGE = r"0-9A-Za-z\u2160-\u217f²³⁰-⁹₀-₉℃℉°%)）"
_RANGE = re.compile(rf"[~〜∼](?:(?<=[{_ENDS_RANGE}].)|(?<=[{_ENDS_RANGE}] .))(?= ?[0-9A-Za-z\u2160-\u217f<>+-])")


def _unify_ranges(text: str) -> str:
    return _RANGE.sub("～", text)


_MARKS = str.maketrans(",;:?!", "，；：？！")
_HAN_MARK = re.compile(
    rf"[,;?!] ?(?:(?<=[{HAN}][,;?!])|(?<=[{HAN}][,;?!] )|(?=[{HAN}])(?<!\\[,;?!])(?<!\\[,;?!] ))"
    rf"|: ?(?:(?<=[{HAN}]:)|(?<=[{HAN}]: )|(?=[{HAN}])(?<![0-9\\]:)(?<![0-9\\]: ))"
)
_HAN_STOP = re.compile(rf"\.(?<=[{HAN}]\.) ?(?=[{HAN}\n]|\Z)")
_REPEATED_MARK = re.compile(r"([，。、；：？！])\1+|([？！])[?!]+")
_EMPTY_PARENTHESES = re.compile(
    rf"（ ?[）)]|\( ?）|\( ?\)(?:(?<=[{HAN}，。：、]\(\))|(?<=[{HAN}，。：、]\( \))|(?<=[{HAN}] \( \)))"
)


def _unify_punctuation(text: str) -> str:
    """Beside a Han character `,;:?!` and a single `.` become Chinese marks; repeated marks become one."""
    text = _HAN_MARK.sub(lambda match: match[0][0].translate(_MARKS), text)
    text = _REPEATED_MARK.sub(r"\1\2", _HAN_STOP.sub("。", text))
    return _EMPTY_PARENTHESES.sub("（ ）", text)


RULES: tuple[Rule, ...] = (
    Rule("mojibake", "UTF-8 or GBK that was decoded as something else", mojibake.undo, mojibake.NEEDS),
    Rule("newlines", "line ends other than \\n", _unify_newlines, "\r" + _LINE_ENDS),
    _translation("invisible", "control and zero-width characters, BOM, unpaired surrogates", _INVISIBLE),
    Rule("joiners", "zero-width joiners outside emoji", _drop_stray_joiners, "\u200d"),
    Rule("entities", "entities such as &lt; and &#39;, also escaped twice", _decode_entities, "&"),
    _translation("compatibility", "Kangxi radicals, squared units", _compatibility_table()),
    _translation("width", "full-width letters, digits and signs; minus signs; µ", _width_table()),
    Rule("composition", "sequences that NFC composes", _compose),
    Rule("scripts", "<sup>…</sup>, <sub>…</sub>", _convert_scripts, "<"),
    Rule("breaks", "<br>, </p>", _convert_breaks, "<"),
    Rule("tags", "formatting tags", _drop_tags, "<"),
    Rule("blanks", "runs of blanks, no-break and ideographic spaces", _tidy_blanks),
    Rule("dots", "the full-width ．", _resolve_dots, "．"),
    Rule("ranges", "tildes between numbers", _unify_ranges, "~〜∼"),
    Rule("punctuation", "ASCII marks beside Han, repeated marks, empty parentheses", _unify_punctuation),
)
