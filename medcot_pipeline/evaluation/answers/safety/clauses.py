"""An answer as clauses: which of them ask, and which depend on a condition.

Belongs here: clauses, conditions.
Does not belong here: whether a word in a clause is denied (denial.py), what the words are about (urgency.py, words.py).
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Literal

from medcot_pipeline.evaluation.answers.safety.denial import reading
from medcot_pipeline.evaluation.answers.safety.plain_text import SENTENCE, PlainText, any_of, unquoted

Condition = Literal["none", "open", "later"]
"""What a clause depends on: nothing; something that words cannot check; a change that has yet to come."""


@dataclasses.dataclass(frozen=True)
class Clause:
    """A part of a sentence between commas.

    `asked`: it asks, or stands in a question that the next sentence does not answer; `denied`: that one says no.
    """

    text: str
    condition: Condition
    asked: bool = False
    denied: bool = False


_MARK = re.compile(r"^\s*(?:(?P<number>\d{1,2}[.)、])|(?P<dash>[-•·–+]\s)|(?P<bracket>\(\d{1,2}\)))")
_HEADING = any_of(
    r"^\s*#", r":\s*$", r"^\W*(?:\d+[.)、]\s*)?(?:when (?:to|should)|何时|什么时候|什么情况|哪些情况)[^.。]*$"
)
_BREAK = any_of(
    r"([,:]|\s[-–—]+\s|[–—]{1,2}|\bbut\b|\bhowever\b|但是?|不过|然而|而是|\band (?=if\b|when\b|tell\b|ask\b|say\b"
    r"|check\b)"
    r"|\b(?=unless\b))"
)
_TURN = any_of(r"\bbut\b|\bhowever\b|但|不过|然而|无论如何|either way|in any case|regardless")
_ELSE = any_of(r"otherwise\b|or else\b|否则|不然")
_UNLESS = any_of(r"unless\b|除非")
_MORE_THAN_A_CONDITION = any_of(
    r"^(?:unless|除非)|[则就请应要可需给勿]|开始|进行|立即|马上|\b(?:then|start|begin|give|do not|don't|tell|turn"
    r"|lay)\b"
)
"""In a last clause that begins with `if`: it speaks of something else, or has its own main clause."""
_LEADING_TIME = any_of(r"^\s*(today|tonight|right now|immediately|今天|今晚|现在|立即|马上)\s*,")
_WHETHER = any_of(r"要不要|需不需要|用不用|该不该|是否|是不是[要需该]|\bwhether\b")
_IN_THE_MIDDLE = any_of(r"(?:[a-z']+ ){2,}(?:if|when)\b")
"""`Give him sugar if he can swallow`: the condition of this clause, not of the next one."""
_NONE = any_of(r"(?:无|没有|none|nil|no)[。.;!]*$")
_ABBREVIATED = any_of(r"\b(e\.g|i\.e|dr|mrs?|ms|vs|approx|etc|a\.m|p\.m|u\.s|u\.k)\.")
_IN_BRACKETS = re.compile(r"\(([^()\n]*)\)")

_NO_CONDITION = any_of(
    r"\b(?:even|especially|particularly) (?:if|when)\b|\bwhether or not\b|\bat once\b|\bas if\b|\bif (?:possible"
    r"|I were you)\b",
    r"即使|即便|就算|哪怕|不管|无论|尤其|例如|比如|譬如|诸如",
)
_AT = r"(?<![小及当同即按随暂届平有临顿此准])时(?![间候段刻期])"
"""`时` as a word of its own, not in `小时` or `及时`."""
_IF = any_of(
    r"\bif\b|\bwhen(?:ever)?\b|\bunless\b|\bonce (?:you|he|she|it|they|the)\b|\bin case\b|\bin the event\b"
    r"|\bprovided\b",
    r"\bshould (?:you|he|she|it|they|any|the|symptoms)\b[^,.]*\b(?:develop|occur|worsen|appear|get|become|have|start)",
    r"\bfor (?:any|severe|worsening|new|the following|these|signs|symptoms)\b",
    r"\bwould (?:be a reason|mean|warrant)\b|\b(?:a|the) (?:reasons?|signs?) to\b",
    r"\b(?:signs|symptoms)\b[^,.]*\b(?:need|require|warrant|mean)",
    r"如果|假如|假若|倘若|要是|万一|一旦|的话|若(?!干)|除非|必要时|何时|什么时候|(?:什么|哪些|以下|下列|下述)(?:任一"
    r"|任何)?情况",
    r"如(?=出现|有|发|持|症|不|遇|伴|疼|痛|体|经|无|患|再|仍|病|您|果|\d)",
    rf"当(?![天日地晚即时务])[^,。]{{1,20}}{_AT}|(?:出现|发生|伴有|加重|持续|加剧|恶化|超过)[^,。]{{0,25}}{_AT}",
    r"(?:严重|紧急|特殊|恶化)的?情况(?:下|时)",
)
_MET = any_of(
    r"\b(?:suspect|believe|already|haven't|have not|hasn't|right now|currently|alone|doubt|miss(?:ed)?|forg[eo]t"
    r"|swallowed|ingested)\b",
    r"\bthink (?:this|it|you|he|she|they|the)\b|\bin (?:the )?(?:us|uk|usa|eu|europe|china|australia|canada|u\.?s)\b",
    r"怀疑|疑似|还没|尚未|没有?(?:拨|叫|打)|在(?:中国|国内|大陆|美国|英国|香港|台湾)|身边|独自|一个人|现在|目前|此刻"
    r"|已经?|漏服|忘记|误[服食吞喝]",
)
"""A condition that the one who asks has told or can answer at once: `if you suspect a stroke`."""
_LATER = any_of(
    r"\b(?:worse\w*|persist\w*|increas\w*|spread\w*|develop\w*|appear\w*|occur\w*|lasts?|returns?|continues?)\b",
    r"(?:not|n't|no|without|fails? to) (?:\w+ ){0,2}(?:better|improv\w*|go(?:ne)? away|settl\w*|resolv\w*)|(?:start"
    r"|begin)s? to",
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
        said = re.match(
            r"(yes\b|absolutely|definitely|是(?:的|$)|需要|[要对](?=[,。的]|$))|(no\b|not\b|不|无需"
            r"|没必要)",
            reply,
            re.IGNORECASE,
        )
        yes, no = (bool(said.group(1)), bool(said.group(2))) if said else (False, False)
        bracketed = _IN_BRACKETS.findall(sentence)
        for part in (_IN_BRACKETS.sub(" ", sentence), *bracketed):
            found = _of_sentence(part, under, before)
            before = found[-1].condition if found else before
            for each in found:
                yield dataclasses.replace(
                    each, asked=each.asked or (asked and not yes and not no), denied=no or each.denied
                )


def _of_sentence(sentence: str, under: Condition, before: Condition) -> list[Clause]:
    """Clauses of a sentence, under the condition of its heading and after one that ends with another condition.

    `Otherwise` after a change yet to come is how things are; after any other condition it is one as well.
    """
    pieces = _BREAK.split(_LEADING_TIME.sub(r"\1 ", sentence))
    found: list[Clause] = []
    carried, unless = under, False
    for at in range(0, len(pieces), 2):
        text = pieces[at].strip()
        if _ELSE.match(text):
            carried = "open" if (found[-1].condition if found else before) == "open" and not unless else under
        elif _TURN.search(pieces[at - 1] if at else "") or _TURN.match(text):
            carried = under
        own = condition_of(text)
        condition = carried if own == "none" else own
        carried = carried if _IN_THE_MIDDLE.match(text) else condition
        unless = bool(_UNLESS.match(text)) or unless
        if text:
            found.append(Clause(text, condition, asked=bool(_WHETHER.search(text))))
    for at, each in enumerate(found):
        if at and _NONE.match(each.text):
            found[at - 1] = dataclasses.replace(found[at - 1], denied=True)
        if each.text.lower().startswith("or ") and reading(found[0].text, "") == "denied":
            found[1 : at + 1] = [dataclasses.replace(item, denied=True) for item in found[1 : at + 1]]
    last = _NO_CONDITION.sub("", found[-1].text) if found else ""
    if last and (own := condition_of(last)) != "none" and _IF.match(last) and not _MORE_THAN_A_CONDITION.search(last):
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
