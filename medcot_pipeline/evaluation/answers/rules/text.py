"""Text as a reader sees it: without invisible characters, whatever its width and case.

Belongs here: what every rule does to a text before it looks at it.
Does not belong here: a rule.
"""

import re
import unicodedata

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
HAN = re.compile(f"[{_HAN}]")
KANA = re.compile(f"[{_KANA}]")
LATIN = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
WRITTEN_WITHOUT_SPACES = re.compile(f"[{_HAN}{_KANA}{_HANGUL}]")
_NEWLINES = re.compile(r"\r\n?|[\u0085\u2028\u2029\v\f]")
_COMMA_OF_A_LIST = re.compile(r"(?<=[0-9０-９])，(?=[0-9０-９])")  # NFKC makes 110，120 a number with a thousands comma
_SAME = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "−": "-"})


def visible(text: str) -> str:
    """A text without characters that show nothing, such as a zero-width space, and with one kind of line end."""
    lines = _NEWLINES.sub("\n", text)
    return "".join(char for char in lines if unicodedata.category(char) != "Cf" and not "\ufe00" <= char <= "\ufe0f")


def plain(text: str) -> str:
    """What two texts share that differ in invisible characters, white space, width, case, or kind of dash or quote."""
    spaced = _COMMA_OF_A_LIST.sub(", ", visible(text))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", spaced).casefold())
    return " ".join(folded.translate(_SAME).split())


def says_something(text: str) -> bool:
    """There is a letter or a digit in the text."""
    return any(char.isalnum() for char in text)
