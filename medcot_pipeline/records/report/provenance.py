"""What a report rests on, and what its adapter's training took.

Belongs here: their fields.
Does not belong here: collecting them (evaluation/report/provenance.py).
"""

from typing import Any

from pydantic import Field

from medcot_pipeline.records.figures import Count, RecordModel

Curve = tuple[tuple[int, float], ...]
"""Pairs of optimiser step and value."""


class ArtifactUsed(RecordModel):
    """An artifact that figures were made from; empty: it is not kept any more, and only its content is known."""

    asset: str
    fingerprint: str
    content_hash: str
    code_version: str
    git_commit: str = ""


class Provenance(RecordModel):
    """Artifacts, versions, settings without secrets, sources and seeds."""

    artifacts: tuple[ArtifactUsed, ...]
    packages: dict[str, str]
    git_commit: str
    settings: dict[str, Any] = Field(description="by section; whatever fields the sections have")
    sources: dict[str, Any] = Field(description="what the raw rows say of where they came from")
    seeds: dict[str, int]


class TrainingSummary(RecordModel):
    """Curves over optimiser steps, and the size and cost of the training run; `seconds` of training alone."""

    loss: Curve
    learning_rate: Curve
    grad_norm: Curve
    validation: Curve
    tokens: Count
    rows: Count
    seconds: float
    model: str
    parameters: Count
    adapter_parameters: Count
    device: str
