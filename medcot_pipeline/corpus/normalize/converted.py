r"""What scrapers and converters leave in a text that is no part of it.

Every pattern holds for medical text too: `<3 cm` is no tag, `\nu` no line break.

Belongs here: how wrong decodings, lost characters, web markup, escapes and traditional characters look; each search
takes the normalised question, reasoning and answer and returns the piece that shows it, or an empty string.
Does not belong here: what generators leave (generated.py), which rules there are and what they lead to (noise.py),
undoing (text_rules.py, mojibake.py).
"""

import re

from medcot_pipeline.corpus.normalize.mojibake import what_is_left
from medcot_pipeline.corpus.normalize.places import Texts, around, first
from medcot_pipeline.corpus.normalize.text_rules import HAN


def mojibake(texts: Texts) -> str:
    """Text of a wrong decoding that could not be undone."""
    return next((around(match) for match in map(what_is_left, texts) if match), "")


def replacement_characters(texts: Texts) -> str:
    """U+FFFD, which stands where a character was lost."""
    return first(_REPLACEMENT, *(text for text in texts if "\ufffd" in text))


_REPLACEMENT = re.compile("\ufffd+")
_TAG_LEFT = re.compile(
    r"</?(?:a|abbr|article|aside|b|blockquote|body|br|button|caption|code|col|colgroup|dd|del|details|div|dl|dt|em|embed"
    r"|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|iframe|img|input|ins|label|li|link|main|mark|meta"
    r"|nav|ol|option|pre|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody"
    r"|td|textarea|tfoot|th|thead|title|tr|tt|ul|video)(?:\s[^<>]{0,300})?/?>"
    r"|<[pqsui](?:\s+[a-z-]+=[^<>]{0,300})>|</[pqsui]>|<!--|<!DOCTYPE|<\?xml|&(?:nbsp|lt|gt|amp|quot)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SHORT_NAME = re.compile(r"<(?:a|b)/?>", re.IGNORECASE)


def html(texts: Texts) -> str:
    """A tag or an entity that normalisation knows no text for. `a<b>c` is a comparison."""
    for text in texts:
        if "<" in text or "&" in text:
            for match in _TAG_LEFT.finditer(text):
                if not _SHORT_NAME.fullmatch(match[0]):
                    return around(match)
    return ""


_ESCAPE = re.compile(
    r"(?<!\\)\\(?:n(?![a-z]|(?:Righta|Lefta|Leftrighta)rrow|V?[Dd]ash)|[rt](?![A-Za-z])|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})"
)


def literal_escapes(texts: Texts) -> str:
    r"""An escape that was never resolved, such as \n or \u4e2d; LaTeX such as \nu, \text and \xi is none."""
    return first(_ESCAPE, *(text for text in texts if "\\" in text))


TRADITIONAL_SHARE = 0.05
FEWEST_TRADITIONAL = 3


def _only_traditional(char: str) -> bool:
    big5 = char.encode("big5", "ignore")
    return bool(big5) and big5[0] <= _LAST_COMMON_ROW and not char.encode("gb2312", "ignore")


_LAST_COMMON_ROW = 0xC6
_TRADITIONAL = re.compile(f"[{''.join(filter(_only_traditional, map(chr, range(0x4E00, 0xA000))))}]")
"""The common characters of Big5 (its first level) that GB 2312 lacks."""
_HAN = re.compile(f"[{HAN}]")


def traditional_characters(texts: Texts) -> str:
    """Three different traditional characters or more, a twentieth of a field's Han characters."""
    for text in texts:
        match = _TRADITIONAL.search(text)
        if match:
            found = _TRADITIONAL.findall(text)
            enough = len(found) >= TRADITIONAL_SHARE * len(_HAN.findall(text))
            if enough and len(set(found)) >= FEWEST_TRADITIONAL:
                return around(match)
    return ""
