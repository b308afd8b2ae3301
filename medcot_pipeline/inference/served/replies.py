"""Reading what an OpenAI-compatible server sent: the one place where its text is checked.

Belongs here: sizes, packing, JSON, types, and text that cannot be stored; whether an error's body says that an
account is empty.
Does not belong here: sending (inference/endpoint.py), what an error says about options (refusals.py), what a text means
to whoever asked.
"""

import json
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

LARGEST_BODY = 16 * 2**20
"""Bytes of a response, unpacked, after which it is cut off and counts as unusable."""
LARGEST_ERROR = 64 * 2**10
"""Bytes after which no more is read of an error's body."""
LONGEST_TEXT = 1_000_000
LONGEST_NAME = 200
MOST_TOKENS = 10**9
UNSTORABLE = re.compile("[\ud800-\udfff\0]")
"""Half of a character, and NUL: JSON can hold them, UTF-8 and Parquet cannot."""
NO_CREDIT = re.compile(
    r"insufficient[ _]?(quota|balance|credit|funds)|exceeded_current_quota|billing_(not_active|hard_limit)|arrearage"
    r'|"1113"|余额不足|欠费',
    re.IGNORECASE,
)
"""How servers say, with other statuses than 402, that an account is empty; 1113 is Zhipu's code for it."""


class Unusable(Exception):
    """A response that holds no completion; what is wrong with it, in this project's words."""


@dataclass(frozen=True)
class Completion:
    """What a server answered: text that can be stored, and counts that can be added.

    `reasoning` is what the server gave apart from the text. `finish` is `stop`, `length`, or whatever the server said,
    empty where it said nothing. `served` is the model that it says it used. Tokens are 0 where it did not count.
    `changed` says what was asked otherwise than wanted, since the server does not take it.
    """

    text: str
    reasoning: str
    finish: str
    served: str
    prompt_tokens: int
    completion_tokens: int
    changed: tuple[str, ...] = ()


def storable(text: str) -> str:
    """The text with U+FFFD in the place of what cannot be stored."""
    return UNSTORABLE.sub("\ufffd", text)


def json_objects(text: str, start: int = 0) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Every JSON object amid any prose from a place on, none within another: where it begins and ends, and itself."""
    decoder = json.JSONDecoder()
    at = text.find("{", start)
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield at, end, value
        at = text.find("{", end)


async def unpack(chunks: AsyncIterator[bytes], packing: str) -> bytes:
    """A body, unpacked as it comes in and given up where it grows beyond `LARGEST_BODY`.

    Args:
        chunks: the body as it was sent.
        packing: the header `Content-Encoding`; none was asked for, but some servers pack all the same.

    Raises:
        Unusable: it is too large, or packed in a way that cannot be undone.
    """
    packed = packing not in ("", "identity")
    if packed and packing not in ("gzip", "x-gzip", "deflate"):
        raise Unusable("compressed in an unknown way")
    unpacker, body = zlib.decompressobj(wbits=47), bytearray()  # gzip or zlib, whichever its header says
    async for chunk in chunks:
        try:
            body += unpacker.decompress(chunk, LARGEST_BODY + 1 - len(body)) if packed else chunk
        except zlib.error:
            raise Unusable("not compressed as its header says") from None
        if len(body) > LARGEST_BODY:
            raise Unusable(f"larger than {LARGEST_BODY / 2**20:.0f} MiB")
    return bytes(body)


async def beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """The first `LARGEST_ERROR` bytes or a little more of an error's body, as it was sent."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) >= LARGEST_ERROR:
            break
    return bytes(body)


def read_json(body: bytes) -> Any:
    """The value in a body; NaN and infinity, which are no JSON, are read as null.

    Raises:
        Unusable: it is not JSON in UTF-8, or nested too deep.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise Unusable("not JSON") from None


def read_completion(body: bytes, tidy: Callable[[str], str]) -> Completion:
    """A completion out of a body; what is wrong but not needed is left out.

    Args:
        body: of a response with status 200.
        tidy: makes a text fit to be stored.

    Raises:
        Unusable: there is no completion in it, or its text is none.
    """
    value = read_json(body)
    choices = value.get("choices") if isinstance(value, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise Unusable("no completion in it")
    text = _text(message.get("content"))
    reasoning = next(
        (said for name in ("reasoning_content", "reasoning") if isinstance(said := message.get(name), str)), ""
    )
    if len(text) + len(reasoning) > LONGEST_TEXT:
        raise Unusable(f"text longer than {LONGEST_TEXT:,} characters")
    finish, served, usage = choice.get("finish_reason"), value.get("model"), value.get("usage")
    return Completion(
        text=tidy(text),
        reasoning=tidy(reasoning),
        finish=tidy(finish)[:LONGEST_NAME] if isinstance(finish, str) else "",
        served=tidy(served)[:LONGEST_NAME] if isinstance(served, str) else "",
        prompt_tokens=_tokens(usage, "prompt_tokens"),
        completion_tokens=_tokens(usage, "completion_tokens"),
    )


def read_models(body: bytes, tidy: Callable[[str], str]) -> list[str] | None:
    """Names of the models in a list of them, sorted; None where the body is no such list."""
    try:
        value = read_json(body)
    except Unusable:
        return None
    listed = value.get("data") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        return None
    names = (each.get("id") for each in listed if isinstance(each, dict))
    return sorted({tidy(name)[:LONGEST_NAME] for name in names if isinstance(name, str)})


def has_no_credit(body: bytes) -> bool:
    """Whether an error says that the account is empty."""
    return NO_CREDIT.search(body.decode("utf-8", "replace")) is not None


def _text(content: Any) -> str:
    """A message's text, of one piece or of parts; parts of other kinds than text are left out."""
    if isinstance(content, list):
        texts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "".join(text for text in texts if isinstance(text, str))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise Unusable("content that is not text")
    return content


def _tokens(usage: Any, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_TOKENS else 0
