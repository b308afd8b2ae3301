"""Text in one form, and what a pattern reads of it.

Belongs here: folding width, Markdown and characters without width, sentences, quotations.
Does not belong here: what the words mean.
"""

import functools
import re
import unicodedata


def any_of(*patterns: str) -> re.Pattern[str]:
    """One pattern out of several, whatever their case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


_UNSEEN = re.compile(r"[\u034f\u20e3\ufe00-\ufe0f*`_]")
_FOLDED = str.maketrans(
    "’‘“”「」『』｡‐−\u2028\u2029\x85\r\v\f撥診醫馬護車緊聯繫絡無須處觀療員際應該對過藥種劑開飲懷嬰兒顧當這個們為與來時從後",
    '\'\'""""""。--\n\n\n\n\n\n拨诊医马护车紧联系络无须处观疗员际应该对过药种剂开饮怀婴儿顾当这个们为与来时从后',
)
_NO_WIDTH = r"[\u00ad\u200b-\u200f\u2060\ufeff]*"
_BULLET = re.compile(rf"^((?:\s|[\u00ad\u200b-\u200f\u2060\ufeff])*)[*＊](?={_NO_WIDTH}\s)", re.MULTILINE)
_HALF_OF_A_LINE_END = re.compile(rf"\r(?={_NO_WIDTH}\n)")
_WIDE_COMMA = "，"  # `110，120` is no number with a thousands comma


@functools.cache
def _in_one_form(char: str) -> str:
    if char == _WIDE_COMMA:
        return ", "
    if unicodedata.category(char) == "Cf":
        return ""
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", char)).translate(_FOLDED)


def _of_same_length(written: str) -> str:
    return _BULLET.sub(r"\1-", _HALF_OF_A_LINE_END.sub(" ", written))


class PlainText(str):
    """A text in one form, whatever its width, its Markdown and its characters without width.

    Quotation marks become `"` and `'`; traditional characters of the patterns' words become simplified ones.
    """

    def __new__(cls, written: str) -> "PlainText":
        """The plain text of one as it was `written`."""
        return super().__new__(cls, "".join(map(_in_one_form, _of_same_length(written))))

    def __init__(self, written: str) -> None:
        self.written = written

    def as_written(self, start: int, end: int) -> str:
        """What stands in the written text where `start` to `end` stands here; `end` after `start`."""
        places = [at for at, char in enumerate(_of_same_length(self.written)) for _ in _in_one_form(char)]
        return self.written[places[start] : places[end - 1] + 1]


_LONG_QUOTATION = re.compile(r'"[^"\n]{9,}"')


def unquoted(text: str) -> str:
    """Plain text without what it quotes: words of somebody else. A short quotation is a name: "120"."""
    return _LONG_QUOTATION.sub(" ", text).replace('"', "")


SENTENCE = re.compile(r"(?:[^。!?;\n.]|\.(?!\s|$))+[。!?;.]*")
"""0.5 is one word."""
