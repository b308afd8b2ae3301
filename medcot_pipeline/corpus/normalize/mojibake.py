"""Text that was decoded by the wrong encoding, and its way back.

It comes before every other rule: those remove control characters that are half of a character here. ftfy only undoes
encodings: its other steps would change the width of Chinese marks.

Belongs here: UTF-8 read as Latin-1 or Windows-1252 (by ftfy), GBK read as Latin-1, UTF-8 read as GBK; what is left.
Does not belong here: bytes of files, which corpus/sources/source.py decodes; entities and other markup (text_rules.py).
"""

import codecs
import re

from ftfy import TextFixerConfig, fix_encoding
from ftfy.badness import is_bad

_ONLY_ENCODINGS = TextFixerConfig(unescape_html=False, fix_c1_controls=False)
_WINDOWS = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_NEXT = rf"[\x80-\xbf{_WINDOWS}]"
_LATIN_PAIR = re.compile(rf"[ÂÃÎÏâ-éïð]{_NEXT}")
"""The beginning of a Latin, Greek or Chinese letter, a mark or an emoji; not of what `×²` and `Ø²` would be."""
_LATIN_LEFT = re.compile(rf"[ÂÃÎÏ]{_NEXT}|[â-éïð]{_NEXT}.{{0,20}}?[â-éïð]{_NEXT}", re.DOTALL)
_LATIN = re.compile(rf"[\xc2-\xf4][\x80-\xff{_WINDOWS}]")
_LATIN_RUN = re.compile(r"[\x80-\xff]{2,}")
FEWEST_BYTES = 4
"""Different bytes of a run that may be GBK: `××××` and `°C` are what they are."""
COMMON_SHARE = 0.75
"""Share of common characters (level 1 of GB 2312) and marks from which Latin-1 letters are taken for GBK."""
_LAST_COMMON_ROW = 0xD7


def _read_as_gbk(leads: range, trails: range) -> str:
    pairs = (bytes([lead, trail]) for lead in leads for trail in trails if trail != 0x7F)
    return "".join(char for pair in pairs if len(char := pair.decode("gbk", "ignore")) == 1)


_SIGNS_OF_GBK = _read_as_gbk(range(0xE3, 0xEA), range(0x80, 0xA1)) + _read_as_gbk(range(0xEF, 0xF0), range(0xBC, 0xBE))
"""Characters that the first two bytes of UTF-8 spell in GBK, and that simplified Chinese has no use for."""
_SIGN_OF_GBK = re.compile(f"[{_SIGNS_OF_GBK}]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]+[?\ufffd]?")
_CHINESE = re.compile("[\u3001-\u9fff\uff01-\uff5e]{2}")
_LOST = re.compile("锟斤拷|烫烫烫烫|屯屯屯屯|\ufffd{3}")
_MAY_BE_LEFT = re.compile(f"[ÂÃÎÏâ-éïð{_SIGNS_OF_GBK}锟烫屯\ufffd]")

NEEDS = "".join(map(chr, range(0xC2, 0xF5))) + _SIGNS_OF_GBK
"""Characters of which a text must have one for `undo` to change it."""


def undo(text: str) -> str:
    """The text as it was before a wrong decoding; unchanged where none shows, or the way back is not certain.

    A character that lost a byte on the way becomes U+FFFD.
    """
    if _LATIN.search(text):
        text = _from_latin(text)
    if _SIGN_OF_GBK.search(text) and any(_sure(match[0]) for match in _BEYOND_ASCII.finditer(text)):
        text = _BEYOND_ASCII.sub(lambda match: _utf8_from_gbk(match[0]), text)
    return text


def what_is_left(text: str) -> re.Match[str] | None:
    """The place that shows a wrong decoding that was not undone; characters may have been lost since."""
    if not _MAY_BE_LEFT.search(text):
        return None
    pair = _LATIN_LEFT.search(text)
    if pair and is_bad(text):
        return pair
    if _SIGN_OF_GBK.search(text):
        return next((match for match in _BEYOND_ASCII.finditer(text) if _mostly_utf8(match[0])), None)
    return _LOST.search(text)


def _from_latin(text: str) -> str:
    runs = _LATIN_RUN.findall(text)
    if any(len(set(run)) >= FEWEST_BYTES and _gbk(run) for run in runs):
        try:
            whole = _decoded(text.encode("latin-1"), "gb18030")
        except UnicodeEncodeError:
            whole = ""
        return whole or _LATIN_RUN.sub(lambda match: _gbk(match[0]) or match[0], text)
    if not _LATIN_PAIR.search(text) or not is_bad(text):
        return text
    fixed = fix_encoding(text, _ONLY_ENCODINGS)
    return text if is_bad(fixed) else fixed


def _gbk(run: str) -> str:
    """What the bytes of a run of Latin-1 letters say in GB 2312, or nothing where they are UTF-8 or no Chinese."""
    data = run.encode("latin-1")
    if _decoded(data, "utf-8"):
        return ""
    text = _decoded(data, "gb2312")
    common = sum(lead <= _LAST_COMMON_ROW for lead in data[::2])
    return text if common >= COMMON_SHARE * len(text) else ""


def _sure(run: str) -> bool:
    """Whether a run has a sign of GBK and is three characters of UTF-8 or more."""
    return bool(_SIGN_OF_GBK.search(run)) and len(run) > 3 and _utf8_from_gbk(run) != run


def _mostly_utf8(run: str) -> bool:
    """Whether a run has a sign of GBK, and its bytes are UTF-8 but for a few: traditional characters are not."""
    if not _SIGN_OF_GBK.search(run):
        return False
    decoded = _gbk_bytes(run.rstrip("?\ufffd")).decode("utf-8", "replace")
    return decoded.count("\ufffd") * 3 <= len(decoded) and bool(_CHINESE.search(decoded))


def _utf8_from_gbk(run: str) -> str:
    """A run as UTF-8; a last character of which bytes are missing shows as U+FFFD where a mark stands for them."""
    body, end = (run[:-1], run[-1]) if run[-1] in "?\ufffd" else (run, "")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(_gbk_bytes(body))
    except UnicodeDecodeError:
        return run
    if not decoder.getstate()[0]:
        return text + end
    return f"{text}\ufffd" if end else run


def _gbk_bytes(run: str) -> bytes:
    """The bytes of a text in Windows' GBK, which has the euro sign at 0x80 and a place for private characters."""
    return b"\x80".join(part.encode("gb18030", "replace") for part in run.split("€"))


def _decoded(data: bytes, encoding: str) -> str:
    """The text, or nothing where the bytes are not of the encoding."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return ""
