"""Option letters as they stand in a text, alone or in lists.

Belongs here: telling a letter that stands for an option from an article, a vitamin, a blood group or an abbreviation.
Does not belong here: which of the options a text chooses (chosen.py), taking a question apart (options.py).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LETTERS = "ABCDEFGH"
"""Of the options that can be told in what a model writes: I is an English word."""
_STYLED = (range(0xFF01, 0xFF5F), range(0x24B6, 0x24EA), range(0x1D400, 0x1D6A4))
_PLAIN = {
    code: plain
    for code in (each for styled in _STYLED for each in styled)
    if len(plain := unicodedata.normalize("NFKC", chr(code))) == 1 and plain.isascii()
}
"""Full-width, circled and mathematical letters and marks, by the plain ones that they stand for."""
_PLAIN |= dict.fromkeys(map(ord, '"“”「」『』`*$\u200b\u200c\u200d\u2060\ufeff'), "")
_PLAIN |= {
    ord(mark): plain for mark, plain in {"\u3000": " ", "’": "'", "【": "(", "】": ")", "[": "(", "]": ")"}.items()
}
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}")
_LATEX = re.compile(r"\\(?:text\w*|math\w*|mbox|bm|bf|rm|operatorname)\s*\{([^{}]*)\}")
_LAYOUT: tuple[tuple[str, str], ...] = (
    (r"</?[a-zA-Z]{1,6}>|__|\\[()\[\]]", ""),  # of HTML, Markdown and LaTeX
    (r"(?m)^[ \t]*(?:[-•·>#]+[ \t]+)", ""),
    (r"(?im)^((?:最终|正确|参考|标准)?答案|(?:the )?(?:final |correct )?answer)[ \t]*\n+", r"\1: "),
    (r":[ \t]*\n\s*", ": "),
    (r"(?<![A-Za-z])'|'(?![A-Za-z])", ""),
    (r"[ \t]+", " "),
)

_RUN = r"(?:[A-H]{1,8}|[a-h]{1,8})(?![A-Za-z0-9]|'[a-z]|\.[a-z])"
_GROUP = re.compile(rf"(?<![A-Za-z0-9])(?<![A-Za-z][-']){_RUN}")
_FURTHER = re.compile(_RUN)
_BEFORE = re.compile(r"(?:(?:选项|项|\b(?:options?|choices?|statements?|letters?|both)\b) ?)?\(* ?\Z", re.IGNORECASE)
_AGAIN = re.compile(r"(?:(?:选项|\b(?:options?|choices?|statements?)\b) ?)?\(* ?", re.IGNORECASE)
_AFTER = re.compile(r"(?: ?\)+)?(?: ?选?项(?!目))?")
_MARK = re.compile(r" ?[.、:,(]? ?")
_AND = re.compile(
    r"(?: ?[、,/&+;])? ?(?:(?:和|与|及|以及|加上?)(?:选(?!项))?|\b(?:and|as well as|plus)\b(?!/)) ?"
    r"| ?[、,/&+;] ?| (?=\(?[A-H]\b)"
    r"|\n(?=\(*[A-H]\)*[.,;]?(?:\n|\Z))",
    re.IGNORECASE,
)
_OTHER = re.compile(r"[I-Z](?![A-Za-z0-9'])")
_TO = re.compile(r" ?(?:[-‐–—~～到至]|\bto\b|\bthrough\b) ?")
_OR = re.compile(r" ?[,、]? ?(?:或者?|还是|抑或|\b(?:and/or|or|vs\.?|versus)\b) ?", re.IGNORECASE)

_BELONGS = re.compile(
    r"(?:维生素|维他命|血型|[型组群期级类]|肝炎病?毒?|患者|病人|病例|医院|医生|药物?|方案|附?[图表]|因子|免疫球蛋白|抗|链球菌|蛋白|补体"
    r"|色素|受体|细胞|胶片|\b(?:vitamins?|vit\.?|hepatitis|types?|groups?|grades?|stages?|class(?:es)?|categor(?:y|ies)"
    r"|patients?|cases?|drugs?|doctors?|hospitals?|persons?|factors?|proteins?|phases?|levels?|plans?|zones?|parts?"
    r"|sections?|appendix|fig(?:ure)?s?\.?|tables?|panels?|influenza|immunoglobulins?|complement|cytochromes?|strep\w*"
    r"|child-pugh|mallampati|schedule|anti|non))[ :-]?\Z",
    re.IGNORECASE,
)
_EPITHETS = (
    r"coli|diff(?:icile)?|fragilis|pylori|albicans|cereus|anthracis|botulinum|tetani|perfringens|pertussis|burgdorferi"
    r"|lamblia|histolytica|influenzae|fumigatus|baumannii|granulosus|f(?:ae|e)cal[ei]s|f(?:ae|e)cium|neoformans|jejuni"
    r"|trachomatis|pneumoniae|psittaci|diphtheriae|canis|henselae|quintana|duodenale|burnetii|freundii|cloacae|aegypti"
)
_CONTINUES = re.compile(
    r"[-‐–](?=[A-Za-z\u4e00-\u9fff])(?![A-H](?![A-Za-z0-9]))"
    r"|\.? ?(?:" + _EPITHETS + r")\b"
    r"|[ -]?(?:cells?|lymphocyt\w+|peptides?|sections?|dimers?|vitamins?|reactive|proteins?|symptoms?|fib(?:er|re)?s?"
    r"|spine|(?:[ptuv]-?)?waves?|toxins?|antigens?|virus(?:es)?|strep\w*|scans?|hepatitis)\b"
    r"|[型超群族期级类组段波谷环菌](?!过|考虑|间)|反应蛋白|肽|细胞|淋巴|链球|链|因子|受体|抗[原体]|蛋白|病毒|照射|药(?!物)"
    r"|片|族?维生素|[≤≥<>=%°′μ]|\+(?! ?\(?[A-H]\b)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r" (?!(?:because|since|as|is|was|for|due|and|but|which|with|given|based|would|or|not|rather|by|to|through)\b)"
    r"[a-z0-9]"
)
_ABBREVIATIONS = re.compile(
    "ABG|ADH|AED|AFB|AGE|BAD|BCG|BED|CABG|CAD|CEA|CHD|CHF|DAD|DC|DEC|DHEA|ECG"
    "|ED|EGD|FACE|FDA|GAD|GCA|HAE|HB|HCG|HD|HEAD|HF"
)
_WORDS = frozenset(("ad", "ah", "be", "eh"))
CLAUSE_END = re.compile(r" ?(?:[.,;:!?)\n。、—]|\Z)")
"""What may follow a list that stands for itself."""
_LOWER_GOES_ON = re.compile(r"[\u4e00-\u9fff]| ?(?:[、,/&+;]|and|or) ?\(?[a-h]\b|(?P<verb> (?:is|are|because|since)\b)")
_GOES_ON = re.compile(r"[均都皆全正对项选三两四五是为等最符不错的(]| (?:are|is|because|since)\b")


class LetterRun(NamedTuple):
    """A letter, or a run of letters, with what joins it to the one before; quoted: its option's text follows it."""

    joined: str
    letters: str
    end: int
    quoted: bool = False


class LetterList(NamedTuple):
    """LetterRun that stand for options, joined in a text.

    Attributes:
        start: where it begins, with the word option or a bracket before it.
        parts: at least one.
        undecided: whether an "or" joins it to another letter.
        named: whether the word option or brackets say that it is one.
    """

    start: int
    parts: tuple[LetterRun, ...]
    undecided: bool
    named: bool

    @property
    def end(self) -> int:
        """Where it ends, with the texts of the options where these are known."""
        return self.parts[-1].end

    @property
    def quoted(self) -> bool:
        """Whether the text of an option follows its letter."""
        return any(part.quoted for part in self.parts)

    @property
    def letters(self) -> str:
        """Capitals, sorted, each once."""
        return "".join(sorted({letter for part in self.parts for letter in part.letters}))


def plain_text(text: str) -> str:
    r"""The text without its layout: plain letters and marks, no emphasis; `\boxed{D}` is a line `answer: D`."""
    text = text.translate(_PLAIN)
    while (bare := _LATEX.sub(r"\1", text)) != text:
        text = bare
    text = _BOXED.sub(r"\nanswer: \1\n", text)
    for pattern, becomes in _LAYOUT:
        text = re.sub(pattern, becomes, text)
    return text.strip()


def letter_lists(text: str, options: Mapping[str, str]) -> Iterator[LetterList]:
    """Every list of option letters of a plain text, in order; none begins within another.

    Args:
        text: as `plain_text` gives it.
        options: texts of the options by letter, as `plain_text` gives them; an empty text is not known.
    """
    at = 0
    while group := _GROUP.search(text, at):
        found = _list_at(text, group, options)
        at = found.end if found else group.end()
        if found and (
            text[found.start : group.start()].strip()
            or not _BELONGS.search(text[max(0, found.start - 16) : found.start])
        ):
            yield found


def _list_at(text: str, group: re.Match[str], options: Mapping[str, str]) -> LetterList | None:
    """The longest list from a letter on; None where the letter stands for no option."""
    before = _BEFORE.search(text, max(0, group.start() - 12), group.start())
    start = before.start() if before else group.start()
    named = bool(text[start : group.start()].strip())
    first = _letters(text, group, "", options, named)
    if first is None:
        return None
    parts, seen = [first], set(first.letters)
    while joined := _AND.match(text, parts[-1].end) or _TO.match(text, parts[-1].end):
        if _OTHER.match(text, joined.end()):
            return None
        following = _FURTHER.match(text, _matched(_AGAIN, text, joined.end()))
        found = following and _letters(text, following, joined[0], options, named)
        if not found:
            break
        if seen & set(found.letters):
            if len(found.letters) > 1:  # blood groups A, B, AB
                return None
            break
        parts.append(_spread(parts[-1], found) if _TO.fullmatch(joined[0]) else found)
        seen |= set(parts[-1].letters)
    either = _OR.match(text, parts[-1].end)
    other = _FURTHER.match(text, _matched(_AGAIN, text, either.end())) if either else None
    undecided = bool(other and _letters(text, other, "", options, named))
    if other and undecided:
        parts.append(LetterRun("or", "", other.end()))
    named = named or "项" in text[group.end() : first.end] or text[group.end() : first.end].startswith(")")
    return LetterList(start, tuple(parts), undecided, named)


def _letters(text: str, group: re.Match[str], joined: str, options: Mapping[str, str], named: bool) -> LetterRun | None:
    """What a run of letters stands for, and where it ends; None where that is no option."""
    letters = group[0].upper()
    if not set(letters) <= set(options) or len(set(letters)) < len(letters):
        return None
    end = _matched(_AFTER, text, group.end())
    own, marked = options[letters[0]], _matched(_MARK, text, end)
    if own and text.startswith(own[:4], marked):
        return LetterRun(joined, letters, marked + len(own) if text.startswith(own, marked) else end, quoted=True)
    stands = _single(text, group, end, named) if len(letters) == 1 else _run(text, group, end)
    return LetterRun(joined, letters, end) if stands else None


def _single(text: str, group: re.Match[str], end: int, named: bool) -> bool:
    """Whether one letter may stand for an option, by what follows it."""
    if _CONTINUES.match(text, group.end()):
        return False
    if group[0].isupper():
        return named or group[0] != "A" or not _ARTICLE.match(text, group.end())
    if CLAUSE_END.match(text, end) or (named and end > group.end()):
        return True
    goes_on = _LOWER_GOES_ON.match(text, end)
    return bool(goes_on and (named or group[0] != "a" or not goes_on["verb"]))


def _run(text: str, group: re.Match[str], end: int) -> bool:
    """Whether letters that are joined without a mark are a list of options, and not a word or an abbreviation."""
    letters = group[0]
    if letters.islower() and (list(letters) != sorted(letters) or letters in _WORDS):
        return False
    follows = CLAUSE_END.match(text, end) or _GOES_ON.match(text, end) or _AND.match(text, end)
    return bool(follows) and not _ABBREVIATIONS.fullmatch(letters.upper())


def _spread(first: LetterRun, last: LetterRun) -> LetterRun:
    """The letters behind the first one up to the last, as `A-D` means them."""
    return last._replace(letters="".join(each for each in LETTERS if first.letters[-1] < each <= last.letters[0]))


def _matched(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that may match nothing ends."""
    found = pattern.match(text, at)
    return found.end() if found else at
