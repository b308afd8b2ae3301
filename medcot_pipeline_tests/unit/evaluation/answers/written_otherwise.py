"""The same text in another case and width, and with characters that nobody sees.

Belongs here: what must change nothing that is read from a text.
Does not: reading it.
"""

from hypothesis import strategies as st

UNSEEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad"]
ASCII = range(0x21, 0x7F)
CASES = [str.upper, str.lower, str.swapcase, str]


def widened(char: str) -> str:
    """The full-width form of an ASCII character."""
    return chr(ord(char) + 0xFEE0) if ord(char) in ASCII else char


@st.composite
def written_otherwise(draw: st.DrawFn, text: str) -> str:
    """The text with each character as it is, widened, or after one that has no width; and in one of four cases."""
    cased = draw(st.sampled_from(CASES))(text)
    ways = draw(st.lists(st.integers(0, 5), min_size=len(cased), max_size=len(cased)))
    unseen = draw(st.sampled_from(UNSEEN))
    return "".join(
        widened(char) if way == 1 else f"{unseen}{char}" if way == 2 else char
        for char, way in zip(cased, ways, strict=True)
    )
