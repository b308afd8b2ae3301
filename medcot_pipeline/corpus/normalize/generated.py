"""What generators leave in a text that is no part of it.

Every pattern holds for medical text too: `None of the above` is no placeholder, `Refractive error: 429 eyes` no failed
request.

Belongs here: how placeholders, errors, refusals, loops, copies and marks of a chat look; each search takes the
normalised question, reasoning and answer and returns the piece that shows it, or an empty string.
Does not belong here: what converters leave (converted.py), which rules there are and what they lead to (noise.py).
"""

import re
from collections import Counter

from medcot_pipeline.corpus.normalize.places import NAMES, Texts, around, first

BEGINNING = 300
"""Characters of a text within which it declines, or says that a request failed."""

_NO_VALUE = re.compile(
    r"[\"'\[(<{]*(?:nan|none|null|n/a|<na>|undefined|todo|tbd|暂无(?:答案|解析|内容)?|待(?:补充|填写|完善)|略"
    r"|#(?:n/a|value!|ref!|name\?|div/0!|null!|num!))[\"'\])>}]*",
    re.IGNORECASE,
)
_VARIABLE = (
    r"(?:question|query|prompt|instruction|input|context|reasoning|thought|complex_?cot|cot|answer|response|output"
    r"|result|completion|content)s?"
)
_TEMPLATE = re.compile(
    rf"(?<![\\A-Za-z0-9}}_^])(?:\{{\{{ ?[A-Za-z_][\w.]{{2,30}} ?\}}\}}|\$?\{{ ?{_VARIABLE} ?\}})", re.IGNORECASE
)


def placeholder(texts: Texts) -> str:
    """A field that only says that there is no value, or names a variable that was never filled in."""
    for name, text in zip(NAMES, texts, strict=True):
        if len(text) <= 12 and _NO_VALUE.fullmatch(text):
            return f"{name} is {text}"
    return first(_TEMPLATE, *(text for text in texts if "{" in text))


_FAILED = re.compile(
    r"""[\s\[({"'*]*(?:
      (?:[\w.]*(?:Error|Exception)(?:\ code)?|HTTP(?:/\d(?:\.\d)?)?(?:\ (?:error|status))?(?:\ code)?|status(?:\ code)?
        |错误(?:代?码)?|request\ failed(?:\ with)?(?:\ status(?:\ code)?)?)\s*[:：-]?\s*\(?[45]\d\d\b
      |["']?error["']?\s*:\s*(?:\{|["'])
      |(?:\w+\.)*[A-Z][A-Za-z]+(?:Error|Exception):\ |Traceback\ \(most\ recent\ call\ last\)
      |(?:Error:\ )?(?:429\ |500\ |502\ |503\ |504\ )?(?:Too\ many\ requests|Internal\ server\ error|Bad\ gateway
        |Service\ (?:temporarily\ )?unavailable|Gateway\ time-?out|Rate\ limit\ (?:reached|exceeded)
        |(?:The\ )?request\ timed\ out|Connection\ (?:error|refused|aborted|reset\ by\ peer)
        |You\ exceeded\ your\ current\ quota|This\ model's\ maximum\ context\ length|Insufficient\ (?:quota|balance)
        |The\ server\ is\ (?:overloaded|busy))\b
      |(?:请求(?:失败|超时|过于频繁|被拒绝)|服务器?(?:内部)?(?:错误|繁忙|异常)|系统繁忙|网络(?:错误|异常|超时)
        |接口(?:错误|异常|调用失败)|(?:生成|调用)失败|访问过于频繁)(?=[，,。.！!：:；;（(\s]|\Z)
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def error_message(texts: Texts) -> str:
    """A reasoning or an answer that begins with what a failed request says."""
    return next((text[:60] for text in texts[1:] if _FAILED.match(text[:BEGINNING])), "")


_CANNOT = r"(?:can\ ?not|can(?:'|’)?t|(?:am|(?:'|’)m)\ (?:unable|not\ able)\ to|won(?:'|’)?t|will\ not)"
_REFUSED_EN = re.compile(
    rf"""[\s"'“]*(?:
      (?:(?:I(?:'|’)?m|I\ am)\ (?:very\ |so\ |really\ |truly\ )?(?:sorry|afraid)|Sorry|My\ apologies|Unfortunately
        |I\ (?:sincerely\ )?apologi[sz]e
        |As\ an?\ (?:AI|artificial\ intelligence|(?:large\ )?language)\b[\w\ ,-]{{0,50}}?)
      [,.;!]?(?:\ but)?(?:\ as\ an?\ AI\b[\w\ ]{{0,30}})?[,\ ]+(?:that\ )?I\ ?{_CANNOT}
      |I\ ?{_CANNOT}\ (?:assist|comply|fulfil|help\ (?:you|with)|answer\ (?:this|that|your)|engage\ in
        |(?:provide|give|offer)\ (?:(?:you|with|any|specific|personal(?:i[sz]ed)?|professional)\ )*
        (?:medical|health|legal)\ (?:advice|opinions?|guidance|diagnos[ei]s))
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_REFUSED_ZH = re.compile(
    r"""[\s“"]*(?:
      (?:作为(?:一[个名款位])?(?:AI|人工智能|大?语言模型|大模型|智能助[手理])[^。！？\n]{0,20}?[，,]\s?|抱歉[，,！!。]?\s?
        |(?:很|非常|十分|真的)(?:抱歉|遗憾)[，,！!。]?\s?|对不起[，,！!。]?\s?|不好意思[，,！!。]?\s?)+(?:但是?|因此|所以)?
      (?:(?:我|本模型|本助手)[^。！？，,\n]{0,6}?(?:无法|不能|不便|没有办法|没法|不具备)
        |(?:目前|暂时)?(?:无法|不能)(?:回答|提供|协助|帮助|为您|给出|满足|处理|生成))
      |我(?:无法|不能|没有办法)(?:回答(?:这|该|您|你)|协助|满足|(?:为您|给您|给你)?提供(?:具体的?)?(?:医疗|医学)(?:建议|诊断))
    )""",
    re.VERBOSE,
)


def refusal(texts: Texts) -> str:
    """A reasoning or an answer that begins by declining."""
    begins = (text[:BEGINNING] for text in texts[1:])
    return next((text[:60] for text in begins if _REFUSED_EN.match(text) or _REFUSED_ZH.match(text)), "")


_CHAT_TOKEN = re.compile(
    r"</?(?:think(?:ing)?|thought|reasoning|reflection|scratchpad|(?:final_)?answer|response|solution)>|</s>|\A<s>"
    r"|<\|[^|<>\s]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
    r"|\[/?INST\]|<</?SYS>>|\[gMASK\]",
    re.IGNORECASE,
)


def chat_tokens(texts: Texts) -> str:
    """A marker of chat templates or of how reasoning is written."""
    return first(_CHAT_TOKEN, *(text for text in texts if "<" in text or "[" in text))


_HEADING = re.compile(
    r"^ {0,3}(?:#{1,6} ?(?:\*\*)?"
    r"(?:(?:Thinking|Final Response|思考(?:过程)?|最终(?:回答|回复|答复))(?:\*\*)? ?[:：]? *$"
    r"|(?:Response|Instruction|Human|Assistant|User|System|指令|助手) ?[:：]))",
    re.IGNORECASE | re.MULTILINE,
)
_TURN_HINT = re.compile(r"Human|User|Assistant|用户|人类|助手")
_ASKS = r"(?:\*\*)?(?:Human|User|用户|人类)(?:\*\*)? ?[:：]"
_ANSWERS = r"(?:\*\*)?(?:Assistant|助手|AI助手)(?:\*\*)? ?[:：]"
_ONE_TURN = re.compile(rf"\A{_ANSWERS}|\n\n{_ASKS}")
_ASKING, _ANSWERING = (re.compile(f"^{who}", re.MULTILINE) for who in (_ASKS, _ANSWERS))


def chat_headings(texts: Texts) -> str:
    """A heading of a prompt template or of a model's output format, or the turns of a conversation."""
    for text in texts:
        if "#" in text and (match := _HEADING.search(text)):
            return around(match)
        if _TURN_HINT.search(text):
            match = _ONE_TURN.search(text) or (_ASKING.search(text) and _ANSWERING.search(text))
            if match:
                return around(match)
    return ""


REPEATS = 10
"""Times from which a sentence, or a piece at the end, is a loop."""
LONGEST_LOOP = 200
_SENTENCE = re.compile(r"[^。！？!?.；;\n]{6,}")


def repetition(texts: Texts) -> str:
    """A sentence of six characters or more that stands `REPEATS` times in a text, or a piece that fills its end."""
    for text in texts:
        sentences = _SENTENCE.findall(text)
        if len(sentences) - len(set(sentences)) >= REPEATS - 1:
            sentence, times = Counter(sentences).most_common(1)[0]
            if times >= REPEATS:
                return f"{times} times {sentence.strip()[:60]}"
        loop = _loop_at_end(text)
        if loop:
            return f"ends with {loop[:60]} again and again"
    return ""


def _loop_at_end(text: str) -> str:
    """The shortest piece, letters among it, that the text ends with `REPEATS` times in a row."""
    start = text.rfind(text[-4:], max(0, len(text) - LONGEST_LOOP - 4), len(text) - 1)
    period = len(text) - 4 - start
    if start < 0 or period * REPEATS > len(text):
        return ""
    piece = text[-period:]
    return piece if text.endswith(piece * REPEATS) and any(map(str.isalpha, piece)) else ""


LONG_COPY = 40
"""Characters of a field from which finding it whole within another is a copy, and no short answer said twice."""


def copied_field(texts: Texts) -> str:
    """Two fields that are equal, or a long one that stands whole in another."""
    for one, text in zip(NAMES, texts, strict=True):
        for other, longer in zip(NAMES, texts, strict=True):
            if one != other and text and (text == longer or (len(text) >= LONG_COPY and text in longer)):
                return f"{one} stands in {other}"
    return ""
