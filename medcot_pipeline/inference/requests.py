"""What a language model is asked to write: a request, and what came of it, in tokens and as text.

Belongs here: the records that every model takes and gives, and the seed of a request.
Does not belong here: what a prompt means, rendering and encoding it (chat/), writing (local/, served/).
"""

import dataclasses
import functools
import hashlib
import json


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen: the likeliest at temperature 0, else drawn from the nucleus of `top_p` (Holtzman 2020)."""

    temperature: float = 0.0
    top_p: float = 1.0


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt to go on from: tokens, or a user's message that is put into the model's chat template.

    Attributes:
        id: what tells it from the others.
        prompt_ids: tokens of the prompt; an engine of this process takes at least one. Empty where `message` is asked.
        sampling: how each token is chosen.
        seed: of this request alone, 0 to 2^32 - 1; what is drawn depends on it and on nothing that runs beside it.
        max_tokens: most tokens to write, at least one.
        message: what the user says. A server takes nothing else: it has the chat template itself.
    """

    id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    seed: int
    max_tokens: int
    message: str = ""

    @functools.cached_property
    def digest(self) -> str:
        """What tells this request from every other one, with everything that its tokens depend on."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Continuation:
    """What was written for a request, in tokens.

    Attributes:
        id: of the request.
        token_ids: without the token that ended it.
        finished: whether it came to an end by itself, before `max_tokens`.
    """

    id: str
    token_ids: tuple[int, ...]
    finished: bool


@dataclasses.dataclass(frozen=True)
class WrittenText:
    """What was written for a request, as whoever asked gets it.

    Attributes:
        id: of the request.
        text: everything behind the prompt, marks such as `</think>` included.
        finished: whether it came to an end by itself, before `max_tokens`.
        tokens: with the one that ended it; None where a server did not count them.
        asked_otherwise: what was not asked as wanted, since a server does not take it.
        served: the model that a server says wrote it; empty in this process, or where it says nothing.
    """

    id: str
    text: str
    finished: bool
    tokens: int | None
    asked_otherwise: tuple[str, ...] = ()
    served: str = ""


def request_seed(run_seed: int, id: str) -> int:
    """The seed of a request: the same in every arm and in every order, 0 to 2^32 - 1."""
    return int(hashlib.sha256(f"{run_seed}\0{id}".encode()).hexdigest()[:8], 16)
