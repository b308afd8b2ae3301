"""The same text in another case and width, and with characters that nobody sees.

Belongs here: what must change nothing that is read from a text.
Does not belong here: reading it.
"""

from collections.abc import Callable

from hypothesis import strategies as st

UNSEEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad"]
ASCII = range(0x21, 0x7F)
CASES: list[Callable[[str], str]] = [str.upper, str.lower, str.swapcase, str.strip]


def widened(char: str) -> str:
    """The full-width form of an ASCII character."""
    return chr(ord(char) + 0xFEE0) if ord(char) in ASCII else char


@st.composite
def written_otherwise(draw: st.DrawFn, text: str) -> str:
    """The text in some case, with each character as it is, widened, or after one without width."""
    cased = draw(st.sampled_from(CASES))(text)
    ways = draw(st.lists(st.integers(0, 5), min_size=len(cased), max_size=len(cased)))
    unseen = draw(st.sampled_from(UNSEEN))
    return "".join(
        widened(char) if way == 1 else f"{unseen}{char}" if way == 2 else char
        for char, way in zip(cased, ways, strict=True)
    )
