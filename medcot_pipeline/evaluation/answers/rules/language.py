"""Which language an answer is written in: Chinese, English, or another.

Belongs here: telling them apart by script, and English from other languages in Latin letters by its commonest words.
Does not belong here: which language a prompt asks for (formats.py).
"""

import re
import unicodedata

from medcot_pipeline.evaluation.answers.rules.text import HAN, KANA, LATIN, visible

HAN_SHARE_ZH = 0.7
HAN_SHARE_EN = 0.3
OTHER_SHARE = 0.3
"""Letters of further scripts, such as Hangul or Cyrillic, beyond which a text is in another language."""
KANA_SHARE = 0.05
"""Kana among Han and kana beyond which a text is Japanese, however many of its words are written in Han."""
COMMON_SHARE = 0.06
"""Commonest words below which a text in Latin letters is not English, from `COMMON_FROM` words on.

English texts of medical-o1-reasoning-SFT stand at .15 and above (340 texts), a terse one of the sample at .09.
"""
COMMON_FROM = 12
_WORD = re.compile(r"[^\W\d_]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the of and to is are be been was were it its this that these those you your with for from or not if can may "
        "should which have has had will would by as at but they their there when what how than then more also such "
        "do does any all one into after before about because while without within",
    )
)


def is_chinese(text: str) -> bool:
    """Han / all letters is at least `HAN_SHARE_ZH`, and it is not Japanese."""
    han, kana, _, letters = _counts(text)
    return letters > 0 and han / letters >= HAN_SHARE_ZH and kana < KANA_SHARE * (han + kana)


def is_english(text: str) -> bool:
    """Mostly Latin letters; a longer text has the commonest words of English."""
    han, kana, latin, letters = _counts(text)
    if not letters or (han + kana) / letters > HAN_SHARE_EN or (letters - han - kana - latin) / letters > OTHER_SHARE:
        return False
    words = [word for word in _WORD.findall(visible(text).casefold()) if LATIN.match(word)]
    return len(words) < COMMON_FROM or sum(word in _COMMON for word in words) >= COMMON_SHARE * len(words)


LANGUAGES = {"zh": is_chinese, "en": is_english}


def _counts(text: str) -> tuple[int, int, int, int]:
    """Han, kana, Latin, and all letters."""
    normal = unicodedata.normalize("NFKC", visible(text))
    letters = sum(char.isalpha() for char in normal)
    return len(HAN.findall(normal)), len(KANA.findall(normal)), len(LATIN.findall(normal)), letters
