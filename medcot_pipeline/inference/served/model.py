"""A model that a server has, asked one request a call: the base or the tuned model of one endpoint.

Belongs here: a request as a call, what must hold of a reply to be what was asked for, its text.
Does not belong here: the client (inference/endpoint.py), reading a reply (replies.py), keeping what is finished
(inference/writing.py).
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Literal

from medcot_pipeline.chat import PLACEHOLDER, THINK_CLOSE, THINK_OPEN, opens_thinking
from medcot_pipeline.inference.endpoint import CallFailed, Endpoint, OptionRefused, open_endpoint
from medcot_pipeline.inference.requests import Request, WrittenText
from medcot_pipeline.inference.served.calls import Unanswered, ask_each
from medcot_pipeline.inference.served.replies import Completion
from medcot_pipeline.inference.served.unfit import NotAsAsked, is_listed, one_model, refuse_unfit
from medcot_pipeline.inference.writing import KeepTexts, WriteRequests
from medcot_pipeline.settings import EndpointSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """One of the two models of an endpoint: precision and sampling are its own.

    Attributes:
        settings: the endpoint, and the names of both models there.
        arm: which of the two.
        generation_prompt: what its chat template makes of a message, `PLACEHOLDER` in the message's place.
        section: what the environment variables of the settings begin with, for messages.
    """

    settings: EndpointSettings
    arm: Literal["base", "tuned"]
    generation_prompt: str
    section: str

    @property
    def name(self) -> str:
        """Under which the endpoint has it."""
        return self.settings.base_model if self.arm == "base" else self.settings.tuned_model

    @property
    def name_of_other(self) -> str:
        """Under which the endpoint has the other model."""
        return self.settings.tuned_model if self.arm == "base" else self.settings.base_model

    def written_with(self) -> dict[str, str]:
        """That it is a model of an endpoint, and its name there."""
        return {"engine": "endpoint", "model": self.name}

    def open(self, requests: Sequence[Request], say: Say) -> WriteRequests:
        """Nothing is asked before the first request: the endpoint's list of models is read then."""

        def write(left: Sequence[Request], keep: KeepTexts, what: str) -> None:
            asyncio.run(self._ask_all(left, keep, what, say))

        return write

    async def _ask_all(self, requests: Sequence[Request], keep: KeepTexts, what: str, say: Say) -> None:
        progress, total, named = Progress(what, say), len(requests), set[str]()
        async with open_endpoint(self.settings) as endpoint:
            await self._find_models(endpoint, say)

            async def ask(request: Request) -> None:
                written = self._text(request, await self._ask(endpoint, request))
                keep([(request, written)])
                named.add(written.served)

            left = await ask_each(
                requests, ask, self.settings.concurrency, lambda done: progress(done, total, "requests")
            )
        if others := sorted(name for name in named if name and not one_model(name, self.name)):
            say(f"asked for {self.name!r}, the endpoint says that {', '.join(others[:5])} answered")
        if left:
            raise self._did_not_come(left, requests, what)

    async def _find_models(self, endpoint: Endpoint, say: Say) -> None:
        """Both names are held against the endpoint's list: some servers answer to any name with the one they have."""
        there = self.settings
        try:
            listed = await endpoint.models()
        except CallFailed as error:
            raise MedcotError(
                f"{self.section}__ENDPOINT__BASE_URL={there.base_url} does not list its models ({error}).",
                f"Start the endpoint, or correct the address or {self.section}__ENDPOINT__API_KEY.",
            ) from None
        if listed is None:
            say("the endpoint does not list its models: its answers will show whether it serves both names")
            return
        for setting in ("base_model", "tuned_model"):
            name = getattr(there, setting)
            if not is_listed(name, listed):
                raise MedcotError(
                    f"{there.base_url} serves no model {name!r} (it serves {', '.join(listed[:20]) or 'none'}).",
                    f"Serve it there, or correct {self.section}__ENDPOINT__{setting.upper()}.",
                )

    async def _ask(self, endpoint: Endpoint, request: Request) -> Completion:
        completion = await endpoint.complete(
            self.name,
            [{"role": "user", "content": request.message}],
            max_tokens=request.max_tokens,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            seed=request.seed,
        )
        refuse_unfit(completion, request.max_tokens, self.name, self.name_of_other)
        return completion

    def _text(self, request: Request, completion: Completion) -> WrittenText:
        """A server that parses reasoning gives it apart (`reasoning_content`); elsewhere it stands in the text.

        Where reasoning was cut, some servers give the prompt as content: that is no text.
        """
        opened = opens_thinking(self.generation_prompt)
        asked = self.generation_prompt.removesuffix(THINK_OPEN).replace(PLACEHOLDER, request.message)
        text, apart = completion.text.removeprefix(asked), completion.reasoning
        if apart:
            opening = "" if opened or apart.lstrip().startswith("<think>") else THINK_OPEN
            text = f"{opening}{apart}{THINK_CLOSE}{text}" if text.strip() else f"{opening}{apart}"
        return WrittenText(
            id=request.id,
            text=text,
            finished=completion.finish == "stop",
            tokens=completion.completion_tokens or None,
            asked_otherwise=completion.changed,
            served=completion.served,
        )

    def _did_not_come(self, left: Unanswered[Request], requests: Sequence[Request], what: str) -> MedcotError:
        first, error = left.failed[0]
        came, most = str(error), max(request.max_tokens for request in requests)
        way_out = f"Run `medcot sync` again: the {what} that came are kept and not asked for again."
        if isinstance(error, OptionRefused) and error.option == "max_tokens":
            way_out = f"Set {self.section}__MAX_NEW_TOKENS below {most:,}, for both arms."
        if isinstance(error, NotAsAsked):
            came, way_out = error.came, error.way_out.format(section=self.section, setting=f"{self.arm}_model".upper())
        return MedcotError(
            f"{self.section}__ENDPOINT__BASE_URL={self.settings.base_url}: {len(left):,} of {len(requests):,} {what} "
            f"did not come ({left.counts()}). The first is {first.id} ({self.arm}): {came}.",
            way_out,
        )
