"""What a language model is asked to write, in tokens: a request, and what came of it.

Belongs here: the two records that every engine takes and gives, and the seed of a request.
Does not: what a prompt means, rendering and encoding it (chat/), writing (local/, endpoint.py).
"""

import dataclasses
import hashlib
import json


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen: the likeliest at temperature 0, else drawn from the nucleus of `top_p` (Holtzman 2020)."""

    temperature: float = 0.0
    top_p: float = 1.0


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt to go on from.

    Attributes:
        id: what tells it from the others.
        prompt_ids: tokens of the prompt, at least one.
        sampling: how each token is chosen.
        seed: of this request alone, 0 to 2^32 - 1; what is drawn depends on it and on nothing that runs beside it.
        max_tokens: most tokens to write, at least one.
    """

    id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    seed: int
    max_tokens: int

    def digest(self) -> str:
        """What tells this request from every other one, with everything that its tokens depend on."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Continuation:
    """What was written for a request.

    Attributes:
        id: of the request.
        token_ids: without the token that ended it.
        finished: whether it came to an end by itself, before `max_tokens`.
    """

    id: str
    token_ids: tuple[int, ...]
    finished: bool


def request_seed(run_seed: int, id: str) -> int:
    """The seed of a request: the same in every arm and in every order, 0 to 2^32 - 1."""
    return int(hashlib.sha256(f"{run_seed}\0{id}".encode()).hexdigest()[:8], 16)
