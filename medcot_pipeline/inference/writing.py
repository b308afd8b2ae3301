"""All requests of a stage, written by one model in this process; what a killed run finished is not written again.

Belongs here: journal, engine and device together, which tokens end an answer, what the tokens depend on.
Does not: opening an engine (opening.py), what a request asks or a text is worth (evaluation/).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medcot_pipeline.inference.finished import FinishedRequests
from medcot_pipeline.inference.local.plan import CPU_ROWS
from medcot_pipeline.inference.local.weights import is_known
from medcot_pipeline.inference.opening import open_local_engine
from medcot_pipeline.inference.plain import ROWS
from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.models.arms import made_with
from medcot_pipeline.models.devices import compute_dtype, device, fix_threads
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.progress import Say


class TimedContinuations(NamedTuple):
    """What was written, in the order of the requests, and the seconds that writing took, killed runs included."""

    continuations: list[Continuation]
    seconds: float


def write_requests(
    base: Path,
    adapter: Path | None,
    requests: Sequence[Request],
    tokenizer: Any,
    settings: LocalEngineSettings,
    work: Path,
    say: Say,
    *,
    what: str,
    limited_by: str,
) -> TimedContinuations:
    """Write requests with the base, or with the adapter on it.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None lets the base write.
        requests: at least one; ids differ.
        tokenizer: of the base.
        settings: rows and memory.
        work: folder for the finished requests of this work alone.
        say: where progress goes.
        what: the work's name in progress lines.
        limited_by: the setting that says the most tokens of an answer, which messages name.

    Raises:
        MedcotError: the model, the adapter or a request is not for this engine or this device.
    """
    finished = FinishedRequests(work, written_with(base, settings), say)
    left = finished.open(requests)
    if left:
        fix_threads()
        ends = end_tokens(base, tokenizer)
        if len(ends) > 1:
            say(f"an answer ends at any of {', '.join(tokenizer.convert_ids_to_tokens(ends))}: the first is learned")
        engine = open_local_engine(base, adapter, requests, ends, settings, say, limited_by=limited_by)
        last = time.monotonic()

        def keep(made: Sequence[tuple[Request, Continuation]]) -> None:
            nonlocal last
            if made:
                now = time.monotonic()
                finished.keep(made, now - last)
                last = now

        engine.write(left, adapter=adapter is not None, keep=keep, what=what)
    return TimedContinuations(finished.collect(requests), finished.seconds(requests))


def written_with(base: Path, settings: LocalEngineSettings) -> dict[str, str]:
    """What tokens depend on beside model, adapter and request: engine, versions, device, and how numbers are held.

    On a CPU the number of rows counts too: every step has as many, and sums are rounded by it. On a GPU it does not:
    there it follows the rows that are left, and the tokens are not bit-equal anyway.
    """
    local = is_known(read_json(base / "config.json"))
    dtype = str(compute_dtype()).removeprefix("torch.")
    return {
        **made_with(),
        "engine": "local" if local else "transformers, a token at a time",
        "precision": f"NF4 unpacked to {dtype}, LoRA beside it",
        **({"rows": str(settings.rows or (CPU_ROWS if local else ROWS))} if device() == "cpu" else {}),
    }


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
