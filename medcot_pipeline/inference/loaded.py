"""A model that is loaded in this process, and writes with the engine that fits it.

Belongs here: engine, tokenizer and device together, which tokens end an answer, what its tokens depend on.
Does not belong here: opening an engine (opening.py), keeping what is finished (writing.py).
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import PLACEHOLDER, encode_prompt, render_prompt
from medcot_pipeline.inference.local.plan import CPU_ROWS
from medcot_pipeline.inference.opening import knows, open_local_engine, positions_of
from medcot_pipeline.inference.plain import ROWS
from medcot_pipeline.inference.requests import Continuation, Request, WrittenText
from medcot_pipeline.inference.writing import KeepTexts, WriteRequests
from medcot_pipeline.models.arms import made_with
from medcot_pipeline.models.devices import device, fix_threads
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.progress import Say


class LoadedModel:
    """The base, or the base with an adapter: weights are loaded when it is opened, the tokenizer when it is used."""

    def __init__(self, base: Path, adapter: Path | None, settings: LocalEngineSettings, *, section: str) -> None:
        """Load nothing yet.

        Args:
            base: folder of the base model.
            adapter: its folder; None: the base writes.
            settings: rows and memory.
            section: of the settings that say how long an answer may get, such as MEDCOT_ANSWERS; for messages.
        """
        self._base, self._adapter, self._settings = base, adapter, settings
        self._limited_by = f"{section}__MAX_NEW_TOKENS"

    @functools.cached_property
    def tokenizer(self) -> Any:
        """Of the base."""
        quiet()
        return load_tokenizer(self._base)

    @property
    def positions(self) -> int:
        """Tokens that it can hold, prompt and answer together."""
        return positions_of(self._base)

    @property
    def generation_prompt(self) -> str:
        """What the chat template makes of a message, `PLACEHOLDER` in the message's place."""
        return render_prompt(self.tokenizer, PLACEHOLDER)

    def written_with(self) -> dict[str, str]:
        """What tokens depend on beside model, adapter and request: engine, versions, device, how numbers are held.

        On a CPU the number of rows counts too: every step has as many, and sums are rounded by it. On a GPU it does
        not: there it follows the rows that are left, and the tokens are not bit-equal anyway.
        """
        local, made = knows(self._base), made_with(unpacked=True)
        rows = self._settings.rows or (CPU_ROWS if local else ROWS)
        return {
            **made,
            "engine": "local" if local else "transformers, a token at a time",
            "precision": f"{made['precision']}, LoRA beside it",
            **({"rows": str(rows)} if device() == "cpu" else {}),
        }

    def open(self, requests: Sequence[Request], say: Say) -> WriteRequests:
        """Load the weights into an engine.

        Raises:
            MedcotError: the model, the adapter or a request is not for this engine or this device.
        """
        fix_threads()
        ends = end_tokens(self._base, self.tokenizer)
        if len(ends) > 1:
            names = ", ".join(self.tokenizer.convert_ids_to_tokens(ends))
            say(f"an answer may end with any of {names}; training teaches the first")
        encoded = {request.id: self._encoded(request) for request in requests}
        all_requests = list(encoded.values())
        engine = open_local_engine(
            self._base, self._adapter, all_requests, ends, self._settings, say, limited_by=self._limited_by
        )

        def write(left: Sequence[Request], keep: KeepTexts, what: str) -> None:
            asked = {request.id: request for request in left}

            def keep_texts(made: Sequence[tuple[Request, Continuation]]) -> None:
                keep([(asked[written.id], self._text(written)) for _, written in made])

            tokens = [encoded[request.id] for request in left]
            engine.write(tokens, adapter=self._adapter is not None, keep=keep_texts, what=what)

        return write

    def _encoded(self, request: Request) -> Request:
        if request.prompt_ids:
            return request
        return dataclasses.replace(request, prompt_ids=tuple(encode_prompt(self.tokenizer, request.message)))

    def _text(self, written: Continuation) -> WrittenText:
        text = self.tokenizer.decode(written.token_ids, skip_special_tokens=False)
        return WrittenText(written.id, text, written.finished, len(written.token_ids) + written.finished)


def end_tokens(base: Path, tokenizer: Any) -> list[int]:
    """The tokenizer's end token, which training teaches, and behind it the others that the model was made to end with.

    Without those the base would run on where it ends by a token of its own.
    """
    from transformers import AutoConfig, GenerationConfig

    try:
        generation = GenerationConfig.from_pretrained(base, trust_remote_code=False)
    except OSError:  # a folder without generation_config.json
        generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(base, trust_remote_code=False))
    others = generation.eos_token_id
    others = others if isinstance(others, list) else [others]
    return list(dict.fromkeys([tokenizer.eos_token_id, *(token for token in others if token is not None)]))
