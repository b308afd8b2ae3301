"""Showing what was found in a text.

Belongs here: the match with what stands around it.
Does not belong here: what is looked for (noise.py, generated.py, converted.py).
"""

import re

Texts = tuple[str, str, str]
NAMES = ("question", "reasoning", "answer")
MARGIN = 12
"""Characters shown on either side of what was found."""


def around(match: re.Match[str]) -> str:
    """The match with `MARGIN` characters on either side."""
    return match.string[max(0, match.start() - MARGIN) : match.end() + MARGIN]


def first(pattern: re.Pattern[str], *texts: str) -> str:
    """The first match in any of the texts, with its surroundings."""
    for text in texts:
        match = pattern.search(text)
        if match:
            return around(match)
    return ""
