"""Replies that are well-formed and yet not what was asked for: another model's, cut early, too long, or without text.

Every other figure would rest on them in silence, so each is refused by name; nothing of it is kept.

Belongs here: what is held against the request.
Does not belong here: the form of a reply (replies.py), what is told and not refused (model.py).
"""

from collections.abc import Sequence

from medcot_pipeline.inference.endpoint import CallFailed
from medcot_pipeline.inference.served.replies import Completion

COUNTED_LOOSELY = 8
"""Tokens by which servers count more or less than was written: the end token, marks, an empty thinking block."""


class NotAsAsked(CallFailed):
    """A reply to something else than the request.

    Attributes:
        came: what came, with its numbers; the message itself has none, so that many such replies are one kind.
        way_out: what to do; `{section}` is what the settings' variables begin with, `{setting}` that of the model.
    """

    def __init__(self, what: str, came: str, way_out: str, *, stops: bool = False) -> None:
        super().__init__(what, stops=stops)
        self.came, self.way_out = came, way_out


def refuse_unfit(completion: Completion, most: int, asked: str, other: str) -> None:
    """Refuse a reply that answers something else than was asked.

    A name that is neither model's is accepted: servers answer with aliases, file names and dated names.

    Args:
        completion: the reply.
        most: tokens that it may have.
        asked: name of the model that was asked.
        other: name of the model that it is compared with.

    Raises:
        NotAsAsked: it is another model's, was cut before its limit, is longer, or lost its text.
    """
    tokens = completion.completion_tokens
    if one_model(completion.served, other) and not one_model(completion.served, asked):
        raise NotAsAsked(
            "it answers in the other model's name",
            f"asked for {asked!r}, it answers as {completion.served!r}, which is the other arm",
            "Serve both models, or correct {section}__ENDPOINT__{setting}.",
            stops=True,
        )
    if completion.finish == "length" and 0 < tokens < most - COUNTED_LOOSELY:
        raise NotAsAsked(
            "cut off before the requested limit",
            f"cut after {tokens:,} of {most:,} tokens",
            "Raise the server's context and its own limit of tokens, or set {section}__MAX_NEW_TOKENS "
            f"below {most:,}, for both arms.",
        )
    limited = not any(said.startswith("without max_") for said in completion.changed)
    if limited and tokens > most + COUNTED_LOOSELY:
        raise NotAsAsked(
            "longer than the requested limit",
            f"{tokens:,} tokens where {most:,} were the most: it ignores max_tokens",
            "Set the limit at the server, or raise {section}__MAX_NEW_TOKENS, for both arms.",
        )
    if not (completion.text.strip() or completion.reasoning.strip()) and tokens > COUNTED_LOOSELY:
        raise NotAsAsked(
            "tokens but no text",
            f"it counts {tokens:,} tokens and sends no text",
            "Turn off whatever removes the text from its replies, such as a parser of reasoning or of tool calls.",
        )


def is_listed(name: str, listed: Sequence[str]) -> bool:
    """Whether a server that lists these names has a model of that name.

    SGLang lists an adapter by its own name, and is asked for it as `base:adapter`.
    """
    base, _, adapter = name.partition(":")
    return any(one_model(name, each) for each in listed) or (base in listed and adapter in listed)


def one_model(name: str, other: str) -> bool:
    """Whether two names are one: Ollama puts `:latest` behind a name without a tag."""
    return name.removesuffix(":latest") == other.removesuffix(":latest")
