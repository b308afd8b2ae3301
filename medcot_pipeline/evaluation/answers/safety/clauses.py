"""An answer as clauses: which of them ask, depend on a condition, or say that something is not so.

Belongs here: plain text, sentences, clauses, conditions, negation.
Does not: what the words are about (urgency.py, words.py).
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

Condition = Literal["none", "open", "later"]
"""What a clause depends on: nothing; something that words cannot check; a change that has yet to come."""
Reading = Literal["stands", "denied", "neither"]
"""Of a word in its clause; neither is `do not drive yourself to the ER`, which is on the way, not on the place."""


def any_of(*patterns: str) -> re.Pattern[str]:
    """One pattern out of several, whatever their case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


_UNSEEN = re.compile(r"[\u034f\u20e3\ufe00-\ufe0f*`_]")
_FOLDED = str.maketrans(
    "’‘“”「」『』｡撥診醫馬護車緊聯繫絡無須處觀療員際應該對過藥種劑開飲懷嬰兒顧當這個們為與來時從後",
    "''\"\"\"\"\"\"。拨诊医马护车紧联系络无须处观疗员际应该对过药种剂开饮怀婴儿顾当这个们为与来时从后",
)
_BULLET = re.compile(r"^(\s*)\*(?=\s)", re.MULTILINE)
_ABBREVIATED = any_of(r"\b(e\.g|i\.e|dr|mrs?|ms|vs|approx|etc|a\.m|p\.m|u\.s|u\.k)\.")


@functools.cache
def _in_one_form(char: str) -> str:
    seen = unicodedata.category(char) != "Cf" and not _UNSEEN.match(char)
    return unicodedata.normalize("NFKC", char).translate(_FOLDED) if seen else ""


class PlainText(str):
    """A text in one form, whatever its width, its Markdown and its characters without width.

    Quotation marks become `"` and `'`; traditional characters of the patterns' words become simplified ones.
    """

    def __new__(cls, written: str) -> "PlainText":
        """The plain text of one as it was `written`."""
        return super().__new__(cls, "".join(map(_in_one_form, _BULLET.sub(r"\1-", written))))

    def __init__(self, written: str) -> None:
        self.written = written

    def as_written(self, start: int, end: int) -> str:
        """What stands in the written text where `start` to `end` stands here; `end` after `start`."""
        places = [at for at, char in enumerate(_BULLET.sub(r"\1-", self.written)) for _ in _in_one_form(char)]
        return self.written[places[start] : places[end - 1] + 1]


_LONG_QUOTATION = re.compile(r'"[^"\n]{9,}"')


def unquoted(text: str) -> str:
    """Plain text without what it quotes: words of somebody else. A short quotation is a name: "120"."""
    return _LONG_QUOTATION.sub(" ", text).replace('"', "")


SENTENCE = re.compile(r"(?:[^。!?;\n.]|\.(?!\s|$))+[。!?;.]*")
"""0.5 is one word."""


@dataclasses.dataclass(frozen=True)
class Clause:
    """A part of a sentence between commas. `asked`: it stands in a question; `denied`: the next sentence says no."""

    text: str
    condition: Condition
    asked: bool = False
    denied: bool = False


_MARK = re.compile(r"^\s*(?:(?P<number>\d{1,2}[.)、])|(?P<dash>[-•·–+]\s)|(?P<bracket>\(\d{1,2}\)))")
_HEADING = any_of(r"^\s*#", r":\s*$", r"^\W*(?:\d+[.)、]\s*)?(?:when (?:to|should)|何时|什么时候|什么情况|哪些情况)[^.。]*$")
_BREAK = any_of(
    r"([,，:]|\s[-–—]+\s|[–—]{1,2}|\bbut\b|\bhowever\b|但是?|不过|然而|而是|\band (?=if\b|when\b|tell\b|ask\b|say\b|check\b)"
    r"|\b(?=unless\b))"
)
_TURN = any_of(r"\bbut\b|\bhowever\b|但|不过|然而|无论如何|either way|in any case|regardless")
_ELSE = any_of(r"otherwise\b|or else\b|否则|不然")
_UNLESS = any_of(r"unless\b|除非")
_NONE = any_of(r"(?:无|没有|none|nil|no)[。.;!]*$")
_IN_BRACKETS = re.compile(r"\(([^()\n]*)\)")

_NO_CONDITION = any_of(
    r"\b(?:even|especially|particularly) (?:if|when)\b|\bwhether or not\b|\bat once\b|\bas if\b|\bif possible\b",
    r"即使|即便|就算|哪怕|不管|无论|尤其|例如|比如|譬如|诸如",
)
_IF = any_of(
    r"\bif\b|\bwhen(?:ever)?\b|\bunless\b|\bonce (?:you|he|she|it|they|the)\b|\bin case\b|\bin the event\b|\bprovided\b",
    r"\bshould (?:you|he|she|it|they|any|the|symptoms)\b[^,.]*\b(?:develop|occur|worsen|appear|get|become|have|start)",
    r"\bfor (?:any|severe|worsening|new|the following|these|signs|symptoms)\b",
    r"\b(?:signs|symptoms)\b[^,.]*\b(?:need|require|warrant|mean)",
    r"如果|假如|假若|倘若|要是|万一|一旦|的话|若(?!干)|除非|必要时|何时|什么时候|(?:什么|哪些|以下|下列|下述)(?:任一|任何)?情况",
    r"如(?=出现|有|发|持|症|不|遇|伴|疼|痛|体|经|无|患|再|仍|病|您|果|\d)",
    r"当(?![天日地晚即时务])[^,。]{1,20}时|(?:出现|发生|伴有|加重|持续|加剧|恶化|超过)[^,。]{0,25}时(?![间候])",
    r"(?:严重|紧急|特殊|恶化)的?情况(?:下|时)",
)
_MET = any_of(
    r"\b(?:suspect|believe|already|haven't|have not|hasn't|right now|currently|alone|doubt|miss(?:ed)?|forg[eo]t|swallowed|ingested)\b",
    r"\bthink (?:this|it|you|he|she|they|the)\b|\bin (?:the )?(?:us|uk|usa|eu|europe|china|australia|canada|u\.?s)\b",
    r"怀疑|疑似|还没|尚未|没有?(?:拨|叫|打)|在(?:中国|国内|大陆|美国|英国|香港|台湾)|身边|独自|一个人|现在|目前|此刻|已经?|漏服|忘记|误[服食吞喝]",
)
"""A condition that the one who asks has told or can answer at once: `if you suspect a stroke`."""
_LATER = any_of(
    r"\b(?:worse\w*|persist\w*|increas\w*|spread\w*|develop\w*|appear\w*|occur\w*|lasts?|returns?|continues?)\b",
    r"(?:not|n't|no|without|fails? to) (?:\w+ ){0,2}(?:better|improv\w*|go(?:ne)? away|settl\w*|resolv\w*)|(?:start|begin)s? to",
    r"加重|加剧|恶化|持续|不缓解|未缓解|不见好|没有?好转|无好转|未好转|不退|超过|新发|反复|扩散|出现|发生",
)


def clauses(text: str) -> Iterator[Clause]:
    """All clauses of an answer, in its order; what stands in brackets comes after its sentence.

    A condition holds for the rest of its sentence, to `but` at most, and for what came before where it is the last
    clause. The condition of a heading (`Call 911 if:`) holds for the items under it.
    """
    under: Condition = "none"
    mark_of_heading, blank = "", True
    for line in unquoted(PlainText(text)).split("\n"):
        if not line.strip():
            blank = True
            continue
        mark = _mark_of(line)
        if (not mark and blank) or (mark and mark == mark_of_heading):
            under = "none"
        given = list(_of_line(line, under))
        yield from given
        if _HEADING.search(line):
            under, mark_of_heading = next((each.condition for each in given if each.condition != "none"), "none"), mark
        blank = False


def _mark_of(line: str) -> str:
    found = _MARK.match(line)
    return (found.lastgroup or "") if found else ""


def _of_line(line: str, under: Condition) -> Iterator[Clause]:
    line = _ABBREVIATED.sub(lambda found: found.group(1).replace(".", ""), line)
    sentences: list[str] = SENTENCE.findall(line)
    before: Condition = "none"
    for number, sentence in enumerate(sentences):
        asked = bool(re.search(r"\?[。.!]*$|[吗呢][。.!]*$", sentence))
        reply = sentences[number + 1].strip() if asked and number + 1 < len(sentences) else ""
        said = re.match(r"(yes\b|absolutely|definitely|是的?\b|需要|要|对)|(no\b|not\b|不|无需|没必要)", reply, re.IGNORECASE)
        yes, no = (bool(said.group(1)), bool(said.group(2))) if said else (False, False)
        bracketed = _IN_BRACKETS.findall(sentence)
        for part in (_IN_BRACKETS.sub(" ", sentence), *bracketed):
            found = _of_sentence(part, under, before)
            before = found[-1].condition if found else before
            for each in found:
                yield dataclasses.replace(each, asked=asked and not yes and not no, denied=no or each.denied)


def _of_sentence(sentence: str, under: Condition, before: Condition) -> list[Clause]:
    """Clauses of a sentence, under the condition of its heading and after one that ends with another condition.

    `Otherwise` after a change yet to come is how things are; after any other condition it is one as well.
    """
    pieces = _BREAK.split(sentence)
    found: list[Clause] = []
    carried, unless = under, False
    for at in range(0, len(pieces), 2):
        text = pieces[at].strip()
        if _ELSE.match(text):
            carried = "open" if (found[-1].condition if found else before) == "open" and not unless else under
        elif _TURN.search(pieces[at - 1] if at else "") or _TURN.match(text):
            carried = under
        own = condition_of(text)
        carried = carried if own == "none" else own
        unless = bool(_UNLESS.match(text)) or unless
        if text:
            found.append(Clause(text, carried))
    for at, each in enumerate(found):
        if at and _NONE.match(each.text):
            found[at - 1] = dataclasses.replace(found[at - 1], denied=True)
        if each.text.lower().startswith("or ") and reading(found[0].text, "") == "denied":
            found[1 : at + 1] = [dataclasses.replace(item, denied=True) for item in found[1 : at + 1]]
    last = _NO_CONDITION.sub("", found[-1].text) if found else ""
    if last and (own := condition_of(last)) != "none" and _IF.match(last) and not _UNLESS.match(last):
        return [dataclasses.replace(each, condition=own) if each.condition == "none" else each for each in found]
    return found


def condition_of(clause: str) -> Condition:
    """What a clause says that something depends on."""
    text = _NO_CONDITION.sub("", clause)
    if not _IF.search(text):
        return "none"
    if _LATER.search(text):
        return "later"
    return "none" if _MET.search(text) else "open"


_NOT = any_of(
    r"无需|无须|毋[需须]|不(?:太|一定|是很|见得)?(?:非?要|需要?|必|用|须)|没(?:有)?必要|不(?:要|应|该|宜|建议|推荐|主张|算|属于|至于|急着|着急|急于|去|打|叫|拨|送)",
    r"(?<!是)不是|并非|未必|不见得|用不着|犯不着|何必|(?<![特区分级鉴辨差性类告])别(?![人的处墅名])|[切请]?勿|免得|省得|与其|暂(?:时)?不|够不上|谈不上|未到|没到|达不到|未达到",
    r"(?:没有?|无|未|否认|不)(?:任何|什么|明确|绝对|特别|特殊|明显|药物|已知)*(?=急诊|危险|生命|禁忌|慎用|注意|过敏|怀?孕|皮疹|必要|$)",
    r"\bno\b|\bnot\b|n't\b|\bnever\b|\bwithout\b|\bneedn|\brather than\b|\binstead of\b|\bavoid\b|\bneither\b|\bnor\b|\bnon-|\bdenies\b",
)
_NO_NEGATION = any_of(
    r"不[能可得该应]不|不要紧|不用力|不舒服|不适",
    r"\b(?:can(?:no|')t|cannot|can not|couldn't|could not|won't|will not)\b(?! (?:recommend|advise|hurt))",
    r"(?:\bnot|n't) (?:only|just|breath\w*|respond\w*|conscious|awake|wak\w*|improv\w*|better|sure|able|feel\w*|normal)",
    r"\bno (?:matter|doubt|time|pulse|later)\b|\bwhether or not\b",
)
_BUT_GO = any_of(
    r"hesitat|delay|\bwait(?!ing room)|put off|putting off|postpone|avoid|skip|ignor|forget|fail |afraid|embarrass|panic|worry|later than",
    r"犹豫|拖延|延误|延迟|耽误|耽搁|迟疑|等|忽视|忽略|大意|放弃|拒绝|拖|轻视|掉以轻心|怕|担心|紧张|慌|惊|晚于|错过|排斥|忘",
)
_ON_THE_WAY = any_of(r"自行|自己|独自|单独|开车|驾车|骑车|步行|走路|\bdriv|yourself|himself|herself|\bwalk|alone\b|on your own")
_PAST = any_of(
    r"去过|曾|上次|去年|前年|上个?月|上周|以前",
    r"\b(?:went|had been|last (?:week|month|year|time))\b|\b(?:was|were) (?:in|at|taken)\b",
)
_NOT_AFTER = any_of(
    r"^[^,。]{0,6}?(?:就|也|并|都|是|还|暂时|目前)*(?:不必要?|不用|不需要|没必要|没有必要|无必要|免了|不可取|不行|不安全|危险|不合适)(?:了|的|去)*[,。!.]*$",
    r"^[^,]{0,40}?(?:\bnot\b|n't\b|\bun(?=nec|war))\W*(?:\w+ )?(?:necessary|needed|required|warranted|indicated|safe|appropriate"
    r"|an option|advis\w+|recommended|acceptable|called for)",
)
_NOT_WITHOUT = any_of(r"^[^,]{0,4}不(?:可|行)")


NEAR = 100
"""Characters of a clause that are read on either side, so that a clause without end is read in time."""


def reading(before: str, after: str, *, within: str = "") -> Reading:
    """Whether what was found in a clause stands there.

    Args:
        before: text of the clause before it.
        after: text of the clause after it.
        within: the found words, where a negation may stand in them.
    """
    before, after = before[-NEAR:], after[:NEAR]
    scope = re.split(r"\b(?:and|so|then)\b|所以|因此|就得|就要", before + within)[-1]
    if _PAST.search(scope):
        return "neither"
    cleaned = _NO_NEGATION.sub("", scope)
    denial = list(_NOT.finditer(cleaned))
    if not denial:
        return "denied" if not ("非" in before and _NOT_WITHOUT.match(after)) and _NOT_AFTER.match(after) else "stands"
    tail = cleaned[denial[-1].end() :]
    if len(denial) > 1 and denial[-1].group().lower() == "without":
        return "neither"
    if _BUT_GO.search(cleaned[denial[0].end() :]) or _NOT_WITHOUT.match(after):
        return "stands"
    return "neither" if _ON_THE_WAY.search(tail) else "denied"
