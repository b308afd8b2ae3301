"""Which texts of a record are its question, its reasoning and its answer.

A record has them in three fields, which `source.fields` names; or, where not all three are there, in one of the forms
of chat data: `messages`, `conversations`, `instruction` with `output`, `prompt` with `completion`. There the reasoning
stands in `<think>...</think>` at the start of the answer, or in `reasoning_content`. What three texts cannot hold (more
than one question, a call of a tool, a picture, a system prompt that says more than who answers) is refused by name.

Belongs here: recognising the form, taking it apart, and what makes a text unusable.
Does not: reading files (support/row_files.py), changing any text (corpus/normalize/text.py).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from medcot_pipeline.settings.models import FieldNames
from medcot_pipeline.support.errors import printable

THREE_FIELDS = "fields"
WHAT_IS_READ = (
    "Read are records with the three fields, messages, conversations, instruction and output, prompt and completion: "
    "see docs/inputs.md."
)
EXCEL_CELL = 32_767
"""UTF-16 units that a cell of Excel holds; it cuts off what is longer."""


class Unusable(Exception):
    """Why a record cannot be a row."""


class Texts(NamedTuple):
    """The three texts of a record, and the form that they were read from."""

    form: str
    question: str
    reasoning: str
    answer: str


def texts_of(record: Any, fields: FieldNames, *, further: bool = False) -> Texts:
    """The texts of a record.

    Args:
        record: any JSON value.
        fields: names of the three fields.
        further: the record is of a file beside the source, for which no setting names fields.

    Raises:
        Unusable: it has not three texts, or more than three texts can say.
    """
    if not isinstance(record, Mapping):
        raise Unusable(f"not an object but {type(record).__name__}")
    if not set(_names(fields)) <= set(record):
        for form, (needed, read) in _FORMS.items():
            if all(record.get(name) is not None for name in needed):
                return _checked(read(form, record))
    for setting, name in fields:
        if name not in record:
            known = printable(", ".join(map(str, record)))
            way_out = f"rename it to {name}" if further else f"map it with MEDCOT_SOURCE__FIELDS__{setting.upper()}=..."
            raise Unusable(f'no field "{name}" (fields: {known}); {way_out}')
    return _checked(Texts(THREE_FIELDS, *(_text(f'field "{name}"', record[name]) for name in _names(fields))))


def fields_for(records: Iterable[Any], fields: FieldNames) -> FieldNames:
    """Names of the three fields in a file beside the source: the source's, or the data set's own.

    The data set's own count where no record has a field that only the source's names know, and some record has all
    three.
    """
    standard, found = FieldNames(), [set(record) for record in records if isinstance(record, Mapping)]
    known = set(_names(standard))
    if any(names & (set(_names(fields)) - known) for names in found):
        return fields
    return standard if any(known <= names for names in found) else fields


def unwrap_thought(reasoning: str) -> str:
    """The reasoning without `<think>` and `</think>` where they stand around all of it, and nowhere within it."""
    match = _WRAPPED.fullmatch(reasoning)
    return match[1] if match else reasoning


_WRAPPED = re.compile(r"\s*<think>((?:(?!</?think>).)*)</think>\s*", re.DOTALL)


def _names(fields: FieldNames) -> tuple[str, str, str]:
    return fields.question, fields.reasoning, fields.answer


def _checked(texts: Texts) -> Texts:
    if texts.reasoning.strip() == texts.answer.strip():
        raise Unusable("reasoning and answer are the same text")
    return texts


def _text(what: str, value: Any) -> str:
    """A value that is usable as a text.

    Raises:
        Unusable: it is none, is empty, is broken, or was cut by Excel.
    """
    if not isinstance(value, str):
        raise Unusable(f"{what} is {type(value).__name__}, not text")
    if not value.strip():
        raise Unusable(f"{what} is empty")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise Unusable(f"{what} holds an unpaired surrogate, which is no text")
    if EXCEL_CELL // 2 <= len(value) <= EXCEL_CELL and len(value.encode("utf-16-le")) == 2 * EXCEL_CELL:
        raise Unusable(f"{what} has exactly {EXCEL_CELL:,} characters, the most that Excel keeps: its end was cut off")
    return value


_SPEAKERS = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
_TOOL_SPEAKERS = ("tool", "function", "function_call", "tool_call", "observation", "ipython")
_TOOLS = ("tools", "functions", "tool_calls", "function_call")
_MEDIA = ("image", "images", "video", "videos", "audio", "audios")
_PLACEHOLDER = re.compile("<(?:image|video|audio)>")
_WHO_ANSWERS = re.compile(r"(?:\s*(?:You are|You're|你是|您是)[^.!?。！？\n]{1,80}(?:[.!?。！？]|$))+\s*")
_DEMAND = re.compile(
    r"\b(?:must|only|always|never|not|answers?|responds?|repl(?:y|ies)|json)\b|只|必须|不|回答|回复|使用|格式",
    re.IGNORECASE,
)


class _Message(NamedTuple):
    speaker: str
    text: str
    thought: Any


def _read_chat(form: str, record: Mapping[str, Any]) -> Texts:
    return _chat(form, record, record[form])


def _read_instruction(form: str, record: Mapping[str, Any]) -> Texts:
    if record.get("history"):
        raise Unusable(f"{form}: a history of earlier turns; one question and one answer are read")
    asked = [part for part in (record["instruction"], record.get("input")) if part is not None and part != ""]
    question = "\n".join(_text(f"{form}: instruction or input", part) for part in asked)
    return _answered(form, record, question, record["output"], record.get("reasoning_content"))


def _read_prompt(form: str, record: Mapping[str, Any]) -> Texts:
    prompt, completion = record["prompt"], record["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return _chat(form, record, [*prompt, *completion])
    return _answered(form, record, prompt, completion, record.get("reasoning_content"))


_FORMS: dict[str, tuple[tuple[str, ...], Callable[[str, Mapping[str, Any]], Texts]]] = {
    "messages": (("messages",), _read_chat),
    "conversations": (("conversations",), _read_chat),
    "instruction/output": (("instruction", "output"), _read_instruction),
    "prompt/completion": (("prompt", "completion"), _read_prompt),
}
"""Forms by name: the fields that a record of the form has, and how it is read. The first that fits is the form."""


def _chat(form: str, record: Mapping[str, Any], turns: Any) -> Texts:
    if not isinstance(turns, list):
        raise Unusable(f"{form}: {type(turns).__name__}, not a list of messages")
    messages = [_message(form, turn) for turn in turns]
    for message in messages:
        if message.speaker == "system":
            _refuse_system_prompt(form, message.text)
    spoken = [message for message in messages if message.speaker != "system"]
    if [message.speaker for message in spoken] != ["user", "assistant"]:
        asked = sum(message.speaker == "user" for message in spoken)
        raise Unusable(
            f"{form}: {asked} messages of the user and {len(spoken) - asked} of the assistant; one question with one "
            "answer behind it is read"
        )
    return _answered(form, record, spoken[0].text, spoken[1].text, spoken[1].thought)


def _message(form: str, turn: Any) -> _Message:
    if not isinstance(turn, Mapping):
        raise Unusable(f"{form}: a message is {type(turn).__name__}, not an object")
    said = str(turn.get("role") or turn.get("from") or "")
    if said.lower() in _TOOL_SPEAKERS or _has_any(turn, _TOOLS):
        raise Unusable(f"{form}: a call of a tool")
    if said.lower() not in _SPEAKERS:
        raise Unusable(f'{form}: a message of "{printable(said[:40])}"; known are {", ".join(_SPEAKERS)}')
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    if isinstance(content, list):
        content = _only_part(form, content)
    speaker = _SPEAKERS[said.lower()]
    return _Message(speaker, _text(f"{form}: the {speaker}'s message", content), turn.get("reasoning_content"))


def _only_part(form: str, parts: list[Any]) -> Any:
    """The text of a message that is a list with one part of text."""
    kinds = [str(part.get("type")) if isinstance(part, Mapping) else "text" for part in parts]
    if kinds != ["text"]:
        raise Unusable(
            f"{form}: a message of {len(parts)} parts ({printable(', '.join(kinds)[:60])}); one text is read"
        )
    return parts[0]["text"] if isinstance(parts[0], Mapping) and "text" in parts[0] else parts[0]


def _answered(form: str, record: Mapping[str, Any], question: Any, output: Any, thought: Any) -> Texts:
    """The texts of a question and of an answer with its reasoning, once nothing else would be lost."""
    if _has_any(record, _TOOLS):
        raise Unusable(f"{form}: a call of a tool")
    if record.get("system"):
        _refuse_system_prompt(form, str(record["system"]))
    question, output = _text(f"{form}: the question", question), _text(f"{form}: the answer", output)
    if _has_any(record, _MEDIA) or _PLACEHOLDER.search(question):
        raise Unusable(f"{form}: a picture, a film or a sound belongs to the question")
    inside, answer = _split_thought(form, output)
    beside = _text(f"{form}: reasoning_content", thought).strip() if thought else ""
    if inside and beside and inside != beside:
        raise Unusable(f"{form}: one reasoning in <think>...</think> and another in reasoning_content")
    if not inside and not beside:
        raise Unusable(
            f"{form}: no reasoning: neither <think>...</think> at the start of the answer nor reasoning_content"
        )
    return Texts(form, question, inside or beside, _text(f"{form}: what follows the reasoning", answer))


def _has_any(record: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Whether one of the fields holds something; an empty list is also written as text."""
    return any(record.get(name) not in (None, "", [], {}, "[]") for name in names)


def _split_thought(form: str, output: str) -> tuple[str, str]:
    """Reasoning and answer of what an assistant wrote; `<think>` may be lacking, where it stood in the prompt."""
    output = output.strip()
    if "<think>" not in output and "</think>" not in output:
        return "", output
    thought, _, answer = output.removeprefix("<think>").partition("</think>")
    if "</think>" not in output or "<think>" in thought or "<think>" in answer or "</think>" in answer:
        raise Unusable(f"{form}: not one <think>...</think> at the start of the answer")
    return thought.strip(), answer.strip()


def _refuse_system_prompt(form: str, prompt: str) -> None:
    if not _WHO_ANSWERS.fullmatch(prompt) or _DEMAND.search(prompt):
        begins = printable(" ".join(prompt.split())[:60])
        raise Unusable(f'{form}: a system prompt that says more than who answers, and would be lost: "{begins}"')
