"""The incumbent: the adapter that a candidate is held against.

Belongs here: finding it for a stage, whole where its files are read.
Does not belong here: which adapter stands against which (promoted.py).
"""

from collections.abc import Mapping

from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.release.promoted import ADAPTER, Promoted
from medcot_pipeline.release.record import Adapter

BASE = "base_model"


def find_incumbent(place: Place, inputs: Mapping[str, Artifact], whole: bool) -> Artifact | None:
    """The incumbent of the candidate that a stage's inputs are, or were made from; None without one.

    Raises:
        MedcotError: it is missing or its manifest cannot be read; or, where it is to be whole, it is damaged.
    """
    candidate = _content(inputs, ADAPTER)
    if candidate is None:
        raise ValueError(f"no input was made from {ADAPTER}")
    promoted = Promoted(place.data)
    # A decision on the candidate itself also meets an incumbent of another base, which it never replaces.
    base = inputs[BASE].content_hash if BASE in inputs else None if ADAPTER in inputs else _content(inputs, BASE)
    found = promoted.against(candidate, base)
    if found is None:
        return None
    adapter = Adapter.of(found)
    if whole and (problem := place.store.damage(promoted.folder(adapter))):
        raise promoted.damaged(adapter, problem)
    return Artifact(found, promoted.folder(adapter))


def _content(inputs: Mapping[str, Artifact], asset: str) -> str | None:
    """Content hash of an asset among the inputs, or among what they were made from."""
    if asset in inputs:
        return inputs[asset].content_hash
    return next((each.manifest.inputs[asset] for each in inputs.values() if asset in each.manifest.inputs), None)
