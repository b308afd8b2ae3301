"""What the error of a server says about the options of a request.

Servers word it each in their own way, in English or Chinese, in the message, in a field beside it, or in the error of
another server that they pass on. Nothing of their words leaves this module: only which option it is, and how.

Belongs here: reading such an error.
Does not belong here: asking again (inference/endpoint.py), what an account or a status means (replies.py,
inference/endpoint.py).
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

NOT_TAKEN = re.compile(
    r"unsupported|n[o']t support|no longer|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|n[o']t allow"
    r"|not accept|not available|deprecated|incompatible|fixed at|can(not|'t) (both )?be"
    r"|use .?max_completion_tokens|不支持|不允许|不能|未知|弃用|废弃",
    re.IGNORECASE,
)
"""How servers say that they do not take an option, as against a value of it."""
VALUE = re.compile(
    r"too (large|high|big|long|small|low)|at (most|least)|must be|should be|has to be|range|exceed|maximum|minimum"
    r"|above|below|[<>]=?|(less|greater|more) than|between|\bonly\b|positive|not (a )?valid|非法|有误|取值|范围|无效",
    re.IGNORECASE,
)
"""How servers say that a value is not the right one."""
INVALID = re.compile(r"invalid.?(param|arg)", re.IGNORECASE)
"""What servers say of either."""
CONTEXT = re.compile(
    r"context.?(length|window)|(model|input) length|input tokens|prompt is too long|too many tokens|上下文",
    re.IGNORECASE,
)
"""How servers say that prompt and reply do not fit together."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""Options whose value matters: a reply without limit is another request. Any other is rather left out than in vain."""
ONE_OF_TWO = re.compile(r"both|same time|only one|同时", re.IGNORECASE)
FIELDS = ("param", "parameter", "field", "loc")
"""Fields of an error that name what it is about."""
ECHOED = ("input", "messages", "prompt")
"""Fields in which a server repeats what it was sent."""


@dataclass(frozen=True)
class Refusal:
    """What an error is about: an option that is not taken, one whose value is not, or a request that does not fit.

    `option` is the name under which it was sent; empty for what does not fit.
    """

    what: Literal["option", "value", "context"]
    option: str = ""


def refusal(body: bytes, options: Collection[str]) -> Refusal | None:
    """What an error says of the options of its request; None where it is about something else.

    Args:
        body: of a response with status 400 or 422.
        options: names that were sent. Of several that an error names, the first is meant; of two that cannot be used
            together, the last of these names.
    """
    fits = True
    for said, named in _statements(body):
        fits = fits and not CONTEXT.search(said)
        places = {name: place.start() for name in options if (place := _named(name).search(said))}
        if not places:
            continue
        name = min(places, key=lambda each: places[each])
        if len(places) > 1 and ONE_OF_TWO.search(said):
            name = [each for each in options if each in places][-1]
        if VALUE.search(said) and not fits:
            return Refusal("context")
        if NOT_TAKEN.search(said):
            return Refusal("option", name)
        if VALUE.search(said):
            return Refusal("value" if name in LIMITS else "option", name)
        if name in named or INVALID.search(said):
            return Refusal("option", name)
    return None if fits else Refusal("context")


def _named(name: str) -> re.Pattern[str]:
    """The name of an option in any surroundings, also Chinese ones, but not inside of a longer name."""
    return re.compile(rf"(?<![a-z_]){name}(?![a-z_])", re.IGNORECASE)


def _statements(body: bytes) -> Iterator[tuple[str, list[str]]]:
    """Texts of an error that belong together, and what its fields name: one for each object, the outer ones first."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        yield text, []
        return
    pending = [value]
    while pending:
        value = pending.pop(0)
        fields: dict[str, Any] = value if isinstance(value, dict) else {"": value}
        texts, named = list[str](), list[str]()
        for field, content in fields.items():
            if field in ECHOED:
                continue
            parts = content if isinstance(content, list) else [content]
            own = [part for part in parts if isinstance(part, str)]
            texts += own
            named += own if field in FIELDS else []
            pending += [part for part in parts if isinstance(part, dict | list)]
        yield "\n".join(texts), named
