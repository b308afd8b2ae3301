"""Text that repeats itself, wherever in a text it does.

Belongs here: the measure.
Does not belong here: which texts it is asked of (formats.py).
"""

import re
import zlib

WINDOWS = (150, 300, 600, 1200, 2400)
"""Lengths of the looked-at stretches, characters: a stretch shows a loop whose turns it holds about three times."""
LOOP_RATIO = 0.33
"""Compressed bytes per byte below which a stretch repeats itself.

Over reasoning and answers of medical-o1-reasoning-SFT (1,158 texts, zh and en) and of the sample (1,200 texts), the
lowest stretch stands at .41; loops of three turns and more stand below .33.
"""
_RULED = re.compile(r"([-=_ .\t])\1{2,149}")  # lines drawn with characters, such as those of a table


def repeats_itself(text: str) -> bool:
    """Whether zlib leaves less than `LOOP_RATIO` of a stretch of the text, in windows laid from the end by halves.

    One ratio over a whole text hides a loop after good text: each stretch is measured alone.
    """
    drawn = _RULED.sub(r"\1", text)
    return any(_ratio(stretch) < LOOP_RATIO for length in WINDOWS for stretch in _stretches(drawn, length))


def _stretches(text: str, length: int) -> list[str]:
    if WINDOWS[0] <= len(text) < length:
        return [text]
    return [text[end - length : end] for end in range(len(text), length - 1, -(length // 2))]


def _ratio(text: str) -> float:
    raw = text.encode("utf-8", "replace")
    return len(zlib.compress(raw, 9)) / len(raw)
