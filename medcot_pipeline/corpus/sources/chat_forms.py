"""Question, reasoning and answer of a record of chat data.

The reasoning stands in `<think>...</think>` at the start of the answer, or in `reasoning_content`. What three texts
cannot hold (more than one question, a call of a tool, a picture, a system prompt that says more than who answers) is
refused by name.

Belongs here: the forms of chat data, and taking each apart.
Does not belong here: records with three fields (forms.py), what makes a text unusable (texts.py).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from medcot_pipeline.corpus.sources.texts import RowTexts, UnusableRecord, usable_text
from medcot_pipeline.support.errors import printable

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


def _read_chat(form: str, record: Mapping[str, Any]) -> RowTexts:
    return _chat(form, record, record[form])


def _read_instruction(form: str, record: Mapping[str, Any]) -> RowTexts:
    if record.get("history"):
        raise UnusableRecord(f"{form}: a history of earlier turns; one question and one answer are read")
    asked = [part for part in (record["instruction"], record.get("input")) if part is not None and part != ""]
    question = "\n".join(usable_text(f"{form}: instruction or input", part) for part in asked)
    return _answered(form, record, question, record["output"], record.get("reasoning_content"))


def _read_prompt(form: str, record: Mapping[str, Any]) -> RowTexts:
    prompt, completion = record["prompt"], record["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return _chat(form, record, [*prompt, *completion])
    return _answered(form, record, prompt, completion, record.get("reasoning_content"))


FORMS: dict[str, tuple[tuple[str, ...], Callable[[str, Mapping[str, Any]], RowTexts]]] = {
    "messages": (("messages",), _read_chat),
    "conversations": (("conversations",), _read_chat),
    "instruction/output": (("instruction", "output"), _read_instruction),
    "prompt/completion": (("prompt", "completion"), _read_prompt),
}
"""Forms by name: the fields that a record of the form has, and how it is read. The first that fits is the form."""


def _chat(form: str, record: Mapping[str, Any], turns: Any) -> RowTexts:
    if not isinstance(turns, list):
        raise UnusableRecord(f"{form}: {type(turns).__name__}, not a list of messages")
    messages = [_message(form, turn) for turn in turns]
    for message in messages:
        if message.speaker == "system":
            _refuse_system_prompt(form, message.text)
    spoken = [message for message in messages if message.speaker != "system"]
    if [message.speaker for message in spoken] != ["user", "assistant"]:
        asked = sum(message.speaker == "user" for message in spoken)
        raise UnusableRecord(
            f"{form}: {asked} messages of the user and {len(spoken) - asked} of the assistant; one question with one "
            "answer behind it is read"
        )
    return _answered(form, record, spoken[0].text, spoken[1].text, spoken[1].thought)


def _message(form: str, turn: Any) -> _Message:
    if not isinstance(turn, Mapping):
        raise UnusableRecord(f"{form}: a message is {type(turn).__name__}, not an object")
    said = str(turn.get("role") or turn.get("from") or "")
    if said.lower() in _TOOL_SPEAKERS or _has_any(turn, _TOOLS):
        raise UnusableRecord(f"{form}: a call of a tool")
    if said.lower() not in _SPEAKERS:
        raise UnusableRecord(f'{form}: a message of "{printable(said[:40])}"; known are {", ".join(_SPEAKERS)}')
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    if isinstance(content, list):
        content = _only_part(form, content)
    speaker = _SPEAKERS[said.lower()]
    return _Message(speaker, usable_text(f"{form}: the {speaker}'s message", content), turn.get("reasoning_content"))


def _only_part(form: str, parts: list[Any]) -> Any:
    """The text of a message that is a list with one part of text."""
    kinds = [str(part.get("type")) if isinstance(part, Mapping) else "text" for part in parts]
    if kinds != ["text"]:
        raise UnusableRecord(
            f"{form}: a message of {len(parts)} parts ({printable(', '.join(kinds)[:60])}); one text is read"
        )
    return parts[0]["text"] if isinstance(parts[0], Mapping) and "text" in parts[0] else parts[0]


def _answered(form: str, record: Mapping[str, Any], question: Any, output: Any, thought: Any) -> RowTexts:
    """The texts of a question and of an answer with its reasoning, once nothing else would be lost."""
    if _has_any(record, _TOOLS):
        raise UnusableRecord(f"{form}: a call of a tool")
    if record.get("system"):
        _refuse_system_prompt(form, str(record["system"]))
    question, output = usable_text(f"{form}: the question", question), usable_text(f"{form}: the answer", output)
    if _has_any(record, _MEDIA) or _PLACEHOLDER.search(question):
        raise UnusableRecord(f"{form}: a picture, a film or a sound belongs to the question")
    inside, answer = _split_thought(form, output)
    beside = usable_text(f"{form}: reasoning_content", thought).strip() if thought else ""
    if inside and beside and inside != beside:
        raise UnusableRecord(f"{form}: one reasoning in <think>...</think> and another in reasoning_content")
    if not inside and not beside:
        raise UnusableRecord(
            f"{form}: no reasoning: neither <think>...</think> at the start of the answer nor reasoning_content"
        )
    return RowTexts(form, question, inside or beside, usable_text(f"{form}: what follows the reasoning", answer))


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
        raise UnusableRecord(f"{form}: not one <think>...</think> at the start of the answer")
    return thought.strip(), answer.strip()


def _refuse_system_prompt(form: str, prompt: str) -> None:
    if not _WHO_ANSWERS.fullmatch(prompt) or _DEMAND.search(prompt):
        begins = printable(" ".join(prompt.split())[:60])
        raise UnusableRecord(f'{form}: a system prompt that says more than who answers, and would be lost: "{begins}"')
