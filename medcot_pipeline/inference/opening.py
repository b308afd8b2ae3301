"""Opening the engine of this process: from folders of a base and an adapter to an engine that fits the device.

Belongs here: plan, limit, loading, in their order.
Does not belong here: planning (local/plan.py), writing (local/engine.py), which tokens end an answer (loaded.py).
"""

from collections.abc import Sequence
from pathlib import Path

from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.local.weights import is_known
from medcot_pipeline.inference.plain import ROWS, PlainEngine
from medcot_pipeline.inference.requests import Request
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.devices import hold_to, limit_gpu_memory, this_device
from medcot_pipeline.models.load import quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.progress import Say


def open_local_engine(
    base: Path,
    adapter: Path | None,
    requests: Sequence[Request],
    ends: Sequence[int],
    settings: LocalEngineSettings,
    say: Say,
    *,
    limited_by: str,
) -> LocalEngine | PlainEngine:
    """An engine for these requests, or for any that are no longer; the plain one for models that are not known here.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter, or none; with one the engine writes for either arm.
        requests: at least one; their lengths decide what the cache must hold.
        ends: tokens that end an answer.
        settings: rows and memory.
        say: told the plan.
        limited_by: the setting that says the most tokens of an answer, which messages name.

    Raises:
        MedcotError: a model, an adapter or lengths that the engine does not take, or too little memory.
    """
    quiet()
    refuse_beyond_positions(base, requests, limited_by)
    if not knows(base):
        kind = read_json(base / "config.json").get("model_type")
        say(f"{kind} models use transformers' own forward pass, which is slower")
        limit_gpu_memory(settings.max_gpu_memory_gb)
        return PlainEngine(load_arm(base, adapter), ends, settings.rows or ROWS, say, limited_by=limited_by)
    rank = 0 if adapter is None else int(read_json(adapter / "adapter_config.json")["r"])
    longest = max(len(request.prompt_ids) + request.max_tokens for request in requests)
    here, shape = this_device(settings.max_gpu_memory_gb), ModelShape.of_folder(base)
    plan = plan_engine(shape, here, settings, longest, lora_rank=rank, nf4=True, limited_by=limited_by)
    say(plan.line())
    hold_to(plan.limit_bytes)
    return LocalEngine(load_arm(base, adapter), ends, plan, say)


def knows(base: Path) -> bool:
    """Whether the local engine knows the model in this folder; the plain one takes any."""
    return is_known(read_json(base / "config.json"))


def refuse_beyond_positions(base: Path, requests: Sequence[Request], limited_by: str) -> None:
    """Refuse what the model has no positions for, before anything is loaded.

    Raises:
        MedcotError: prompt and answer of a request are longer than `max_position_embeddings`.
    """
    positions = positions_of(base)
    longest = max(requests, key=lambda request: len(request.prompt_ids) + request.max_tokens)
    left = positions - len(longest.prompt_ids)
    if longest.max_tokens > left:
        raise MedcotError(
            f"request {longest.id}: {len(longest.prompt_ids):,} tokens of prompt and {longest.max_tokens:,} of "
            f"answer, but the model has {positions:,} positions.",
            f"Lower {limited_by} to {left:,} at most." if left > 0 else "Shorten the prompt.",
        )


def positions_of(base: Path) -> int:
    """Tokens that a model can hold, prompt and answer together; without bound where it does not say."""
    config = read_json(base / "config.json")
    return int(config.get("max_position_embeddings") or config.get("n_positions") or 2**31)
