"""Which options a text chooses, in Chinese and English: the one reader of option letters, for rows and for exams.

Belongs here: what makes a letter a chosen one, and what makes it a rejected one.
Does not belong here: which letters stand for options at all (letters.py), whether the choice is right.
"""

import re
from collections.abc import Mapping
from enum import IntEnum

from medcot_pipeline.corpus.normalize.letters import CLAUSE_END, LETTERS, LetterList, letter_lists, plain_text

ANY: Mapping[str, str] = dict.fromkeys(LETTERS, "")
"""Options of which nothing but the letters is known."""
READ = 12_000
"""Characters at the end of a text that are read: a text comes to its choice there."""
NEAR = 60
"""Characters before a letter within which stands what is said of it."""
CONCLUSION = 80
"""Characters at the end of a text within which a single mentioned option is the one chosen."""


class _How(IntEnum):
    """How a text speaks of letters, the weakest way first."""

    MENTIONED = 0
    ODD_ONE = 1
    HELD_TRUE = 2
    CHOSEN = 3
    CALLED = 4


_LINK = (
    r"(?:应该|应当|应|可能|就|也|最终|最后|肯定|显然|只能|只有|正确|最可能|依然|仍然?|都|便|即|可以|选择|选项|选|是"
    r"|为|有|包括|[,:=()#]|[-–—>→]|\s)*"
)
_EN_LINK = (
    r"(?:\s|[,:=(#]|[-–—>→]|\b(?:is|are|was|were|will be|would be|should be|must be|has to be|have to be|can only be"
    r"|seems? to be|appears? to be|then|thus|therefore|clearly|most likely|likely|probably|definitely|indeed|both|only"
    r"|here|in this case|that of|letters?|options?|choices?)\b)*"
)
_ADJECTIVE = (
    r"(?:(?:single|only|most|best|better|correct|right|final|likely|appropriate|suitable|accurate|preferred|my) )*"
)
_CALLED = re.compile(
    rf"(?:答案|正解|(?<![\u4e00-\u9fff])回?答(?=:)){_LINK}\Z"
    rf"|(?<!误)(?<!错)(?<!扰)(?<!确)(?<![A-Ha-h])(?:选项|选择)(?:应该|应当|应|就)?(?:是|为|:){_LINK}\Z"
    rf"|(?<!不)正确选项(?:应该|应|就)?(?:是|为|:)?{_LINK}\Z"
    rf"|\b(?:answers?|ans\.?|correct|key|(?:correct|right|best|final|my) (?:option|choice|statement|selection|pick)s?"
    rf"|(?<!in)(?:most (?:likely|appropriate)) (?:option|choice|answer)s?|(?:option|choice)(?= ?:))"
    rf"(?: (?:to|for|among|of|from|out of|between) [^.;:?\n]{{1,40}}?(?= (?:is|are|would)\b|:))?{_EN_LINK}\Z",
    re.IGNORECASE,
)
_IS_CALLED = re.compile(
    r" ?(?:[:,=] ?)?(?:\b(?:is|are|would be|must be|should be|remains?)\b|=|就是|即为|即是|才是|均为|都是|作为|是|为)"
    rf" ?(?:(?:therefore|clearly|thus|indeed|the|an?|our|本题|此题|正确的?|最佳的?|最终的?|最合适的?|唯一"
    rf"|的) ?)*{_ADJECTIVE}"
    r"(?:answers?\b|options?\b|choices?\b|答案|选项|正解)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(
    r"(?:选择?|挑|倾向于?|当属|锁定) ?:? ?\Z"
    r"|\b(?:choose|chose|choosing|select(?:ed|ing)?|pick(?:ed|ing)?|opt(?:ed|ing)? for|go(?:ing)? (?:with|for)"
    r"|went with"
    r"|settled? on|mark|favou?r|lean(?:ing)? towards?)\b ?:? ?\Z",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"(?:所以|因此|因而|故|综上所?述?|那么?|而是|只?剩下?|认为|判断|确定|诊断|考虑|就|只能|应该?|应当|的)(?:答案"
    r"|选项)?[是为有]?[,:]? ?\Z|是 ?\Z|(?:=>|[→⇒∴]) ?\Z"
    r"|\b(?:so|thus|hence|therefore|but|but rather|it is|it's|it must be|must be|would be|should be|i(?:'d| would)? say"
    r"|i think|i believe|leaves|points? to|by elimination)\b[,:]? ?\Z",
    re.IGNORECASE,
)
_CONCLUDED_END = re.compile(CLAUSE_END.pattern + r"| ?\(")
_ODD_ONE = re.compile(
    r"(?:错误|有误|不正确|不对|不属于|不包括|不符合?|不是|不宜|除外|例外)[^,。;\n]{0,8}?的(?:一项|选项|说法)?(?:是|为"
    r"|:) ?\Z"
    r"|\b(?:incorrect|false|wrong|except(?:ion)?)(?: (?:option|statement|answer|one))?(?: is|:) ?\Z",
    re.IGNORECASE,
)
_TRUE = re.compile(
    r" ?(?:[.、:) ]|[-–—])? ?(?:这?[两三四五]项|[二两三]者|均|都|皆|全|也|才|更|最|就|完全|显然|似乎|好像|看来|看起来"
    r"|确实|无疑|应该|应|会|较|是|为|属于|属|当然)*"
    r"(?:正确(?!地|处|使|认|的?(?:处|方|做|顺))|对(?!于|照|症|比|称|侧|乙|方|本|其)|符合(?!.{0,6}(?:吗|\?))|合适|恰当"
    r"|可能性?最大|入选|当选|成立"
    r"|[√✓✔])"
    r"| (?:is|are|seems?|looks?|appears?|would be|must be|remains?)(?: (?:all|both|clearly|therefore|also|definitely))*"
    r"(?: (?:the )?(?:correct|right|true|best|most (?:likely|appropriate|accurate|suitable)))\b"
    r"| ?[.、)] ?[^\n。:]{1,40}: ?(?:correct|right|正确)(?=\s*(?:[.,;!)\n。]|\Z))"
    r"| ?[.:)-] ?(?:correct|right|true|yes)(?=\s*(?:[.,;!)\n]|\Z))",
    re.IGNORECASE,
)
_TRUE_ARE = re.compile(r"(?:(?<!不)正确|\b(?:true|right)) ?: ?\Z", re.IGNORECASE)
_FALSE = re.compile(
    r" ?(?:[:、.) ]|[-–—])? ?(?:均|都|皆|全|也|则|就|是|为|显然|更|明显|可以?|应该?|被|并|完全)*"
    r"(?:错|[不非](?!(?:选择?|考虑|是|如|等于|同于)? ?\(?[A-H])|有误|误(?!选)|排除(?! ?\(?[A-H])|除外|无关"
    r"|没有(?! ?[A-H])|难以"
    r"|[×✗✘❌])"
    r"| (?:(?:is|are|was|were|can|could|would|seems?|looks?|appears?|does|do|has|have)(?: be)?(?: (?:all|both|also"
    r"|clearly"
    r"|therefore|thus|likely|simply))*(?:n't| (?:not|wrong|incorrect|false|untrue|unlikely|less|excluded|eliminated"
    r"|ruled"
    r"|rejected|inappropriate|out|contraindicated|never|a distractor))\b|can't\b|cannot\b|isn't\b|aren't\b|doesn't\b)"
    r"| ?[.、)] ?[^\n。:]{1,40}: ?(?:incorrect|wrong|错误|不正确)(?=\s*(?:[.,;!)\n。]|\Z))"
    r"| ?[.:)-] ?(?:incorrect|wrong|false|no)(?=\s*(?:[.,;!)\n]|\Z))",
    re.IGNORECASE,
)
_PLURAL = re.compile(r" ?(?:选项)?[均都皆全]| (?:are|were)\b")
_REJECTED = re.compile(
    r"(?:(?<!不得)不|别|勿|未|没有?|(?<!是)非|莫)(?:应当|应|能|该|宜|会|可以?|再|建议|考虑|要|想|直接|轻易|是|必"
    r"|需|选择?|属于?)*:? ?\Z"
    r"|(?:排除|除外?|除了|否定|放弃|舍弃|而不|不如|而非|干扰项|区别于|不同于)(?:掉|了|选择?|是|,)*:? ?\Z"
    r"|[误错]选择?:? ?\Z"
    r"|\b(?:not|n't|never|nor|neither|none of|no|exclud\w+|eliminat\w+|rul(?:e|ed|ing) out|reject\w*|avoid\w*"
    r"|instead of"
    r"|rather than|other than|except(?: for)?|all but|unlike|versus|over|against)(?: (?:choose|pick|select|be|to|go"
    r"|with|for"
    r"|choosing|picking|selecting|option|answer|the))* ?\Z|n't (?:choose|pick|select|be|go with|think it is|say) ?\Z",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"(?:如果|若|假如|假设|假定|要是|倘若|即使|除非|有人|有的|许多人|很多人|多数人|不少人|容易|为什么|为何|无法"
    r"|不确定|不清楚|不知|难以判断|很难说)"
    r"[^,。;:\n]*\Z"
    r"|\b(?:if|unless|whether|suppos\w+|assum\w+|tempt\w+|had|students?|some(?: people)?|many|cannot|can't|couldn't"
    r"|unsure"
    r"|not sure|uncertain|don't|do not|does not|doesn't|unclear|might|may|could)\b[^,.;:\n]*\Z",
    re.IGNORECASE,
)
_IF_CHOSEN = re.compile(r"的(?:人|话|同学|考生|理由|依据|患者)")
_ASKED = re.compile(r"[^。.;!\n]{0,12}?(?:\?|吗(?:[,。?\n]|\Z))")
_TURN = re.compile(
    r"(?:(?:\A|(?<=[\s,。!?;]))不对[,。!]|等等|等一下|更正|纠正一下|再想想|重新考虑|说错了"
    r"|\bwait\b|\bcorrection\b|\bon second thought|\blet me (?:re-?consider|re-?think|correct)|\bscratch that"
    r"|\bi was wrong)",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r",|\b(?:but|so|therefore|hence|thus|and)\b|所以|因此|故|但是?|那么", re.IGNORECASE)
_ALONE = re.compile(r" ?(?:[;!。]|\.?(?: ?\n| ?\Z))")
_STARTS = re.compile(r"[.、:,)。;\n—-]|\Z| ?[因由]| (?=[\u4e00-\u9fff])| (?:because|since|as|for|with)\b")


def chosen_letters(text: str, options: Mapping[str, str] = ANY) -> str:
    """The letters of the options that a text settles on: capitals, sorted, each once; empty where it names none.

    What is called the answer counts before what is chosen ("选", "choose", "so"), this before what is held to be right,
    and a letter that stands for itself only where nothing else does. In each way the last counts; what is held to be
    right counts together. A rejected, supposed, asked or undecided letter ("不选A", "if A", "A吗", "A or B") is none.
    What stands before "wait" or "更正" counts only where nothing is chosen behind it.

    Args:
        text: an answer, or a reasoning that comes to one.
        options: texts of the options by letter; other letters are not read.
    """
    known = {letter: plain_text(own) for letter, own in options.items() if letter in LETTERS}
    plain = plain_text(text[-READ:])
    turns = [0, *(turn.end() for turn in _TURN.finditer(plain)), len(plain)]
    for start, end in zip(reversed(turns[:-1]), reversed(turns[1:]), strict=True):
        if found := _told(plain[start:end], known):
            return found
    return _standing(plain, known)


def _told(text: str, options: Mapping[str, str]) -> str:
    """Letters by the strongest way in which a text says that it chooses them."""
    said: dict[_How, list[str]] = {}
    for each in letter_lists(text, options):
        how, letters = _heard(text, each)
        if letters and how > _How.MENTIONED:
            said.setdefault(how, []).append(letters)
    if not said:
        return ""
    strongest = max(said)
    return "".join(sorted(set("".join(said[strongest] if strongest is _How.HELD_TRUE else said[strongest][-1]))))


def _heard(text: str, found: LetterList) -> tuple[_How, str]:
    """How a text speaks of a list, and the letters of it that it does not reject; none where they are only supposed."""
    before = _sentence_before(text, found.start)
    clause, near = _CLAUSES.split(before)[-1], before[-NEAR:]
    letters = _kept(text, found)
    if found.undecided or _REJECTED.search(near) or _supposed(text, found, clause):
        return _How.MENTIONED, ""
    if _ODD_ONE.search(near):
        return _How.ODD_ONE, letters
    called = _CALLED.search(near)
    if (called and not _REJECTED.search(near[: called.start()])) or _IS_CALLED.match(text, found.end):
        return _How.CALLED, letters
    if chosen := _CHOSEN.search(near):
        return _How.CHOSEN, "" if _REJECTED.search(near[: chosen.start()]) else letters
    if _TRUE.match(text, found.end) or _TRUE_ARE.search(near):
        return _How.HELD_TRUE, letters
    if _CONCLUDED.search(near) and (found.quoted or _CONCLUDED_END.match(text, found.end)):
        return _How.CHOSEN, letters
    return _How.MENTIONED, letters


def _supposed(text: str, found: LetterList, clause: str) -> bool:
    """Whether letters are asked for, or chosen by others or under a condition alone; `clause` stands before them."""
    return bool(_ASKED.match(text, found.end) or _SUPPOSED.search(clause) or _IF_CHOSEN.match(text, found.end))


def _sentence_before(text: str, at: int) -> str:
    """What stands before a place in its sentence."""
    return re.split(r"[。!?;\n]|\.(?=\s)", text[max(0, at - 2 * NEAR) : at])[-1]


def _kept(text: str, found: LetterList) -> str:
    """Letters of a list without those that what follows rejects: of `C，A错` the last, of `C，A、B均错` all but C."""
    if not _FALSE.match(text, found.end):
        return found.letters
    commas = [at for at, part in enumerate(found.parts) if part.joined.strip() in (",", ";")]
    if not commas:
        return ""
    cut = commas[0] if _PLURAL.match(text, found.end) else commas[-1]
    return found._replace(parts=found.parts[:cut]).letters


def _standing(text: str, options: Mapping[str, str]) -> str:
    """Letters that stand for themselves: the last alone in a clause, one that opens a line, one named at the end."""
    alone, opening, named = [], [], []
    for each in letter_lists(text, options):
        letters = _heard(text, each)[1]
        before = text[: each.start].rstrip(" ")
        opens = not before or before.endswith("\n")
        if letters and _ALONE.match(text, each.end) and (opens or before[-1] in ",。;.!:"):
            alone.append(letters)
        if letters and opens and (each.quoted or _STARTS.match(text, each.end)):
            opening.append(letters)
        if letters and (each.quoted or (each.named and each.end > len(text) - CONCLUSION)):
            named += [letters] if each.quoted else list(letters)
    if alone:
        return alone[-1]
    listed = len(opening) > 1 and opening[:2] == list(LETTERS[:2])
    if opening and not listed and (len(set(opening)) == 1 or text.startswith(("(", opening[0], opening[0].lower()))):
        return opening[0]
    return named[0] if len(set(named)) == 1 else ""
