"""One model of a comparison: the base alone, or the base with an adapter.

Belongs here: loading it, and what its figures were made with.
Does not belong here: the base's weights (load.py), measuring.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medcot_pipeline.models.devices import compute_dtype, device
from medcot_pipeline.models.load import load_base
from medcot_pipeline.support.errors import MedcotError


def load_arm(base: Path, adapter: Path | None, *, unpack: bool | None = None) -> Any:
    """The NF4 base, with the adapter on top where one is given; in evaluation mode.

    The base alone answers to the bit as it does with an adapter that is switched off. `unpack` is as of `load_base`.

    Raises:
        MedcotError: the adapter does not fit the base.
    """
    if adapter is None:
        return load_base(base, unpack=unpack).eval()
    from peft import PeftModel

    with _fitting(base, adapter):
        return PeftModel.from_pretrained(load_base(base, unpack=unpack), adapter).eval()


def without_adapter(model: Any) -> Any:
    """The model of transformers below an adapter, whose layers the adapter changes; the model itself without one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def made_with(*, unpacked: bool) -> dict[str, str]:
    """What figures of a loaded model depend on beside model, texts and settings.

    Args:
        unpacked: whether weights are the numbers that NF4 stands for.

    Returns:
        `engine`, `precision`, `device`, and versions of the packages that compute.
    """
    import bitsandbytes
    import peft
    import torch
    import transformers

    return {
        "engine": "transformers",
        "precision": f"NF4{' unpacked to' if unpacked else ','} {str(compute_dtype()).removeprefix('torch.')}",
        "device": torch.cuda.get_device_name(0) if device() == "cuda" else "CPU",
        **{each.__name__: str(each.__version__) for each in (torch, transformers, peft, bitsandbytes)},
    }


@contextlib.contextmanager
def _fitting(base: Path, adapter: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        detail = str(error).splitlines()[0][:160]
        raise MedcotError(f"{adapter}: this adapter does not fit the base model in {base} ({detail}).") from error
