"""Where the report's figures come from: artifacts, settings, versions, sources and seeds.

Belongs here: collecting them for the report.
Does not belong here: following manifests (pipeline/provenance.py), how the report shows them.
"""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.lineage import Ancestor
from medcot_pipeline.artifacts.manifest import git_commit
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.provenance import lineage, recorded_settings, recorded_versions
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.records.report.provenance import ArtifactUsed, Provenance, TrainingSummary
from medcot_pipeline.support.json_files import read_json

SEEDED = ("training", "perplexity", "answers", "exams", "rubrics", "report")
"""Sections with a seed that figures depend on."""


def provenance(run: Run) -> Provenance:
    """Hashes of every artifact that a report rests on, versions, commit, settings (without secrets), sources and seeds.

    Settings that change no output, such as the number of calls in flight, are in no manifest, and not here either.

    Raises:
        MedcotError: the inputs were made from different artifacts of one asset: their figures do not belong together.
    """
    found = lineage(run)
    settings = recorded_settings(run.identity, found)
    return Provenance(
        artifacts=tuple(_artifact(each) for each in found),
        packages={"python": platform.python_version(), **recorded_versions(run.identity.asset, found)},
        git_commit=git_commit(run.root),
        settings=settings,
        sources=_source(run.place, found),
        seeds={name: section["seed"] for name, section in settings.items() if name in SEEDED and "seed" in section},
    )


def training_summary(adapter: Path) -> TrainingSummary:
    """What the report says of the training run."""
    summary, curves = read_json(adapter / "aside" / "training.json"), read_json(adapter / "curves.json")
    return TrainingSummary(
        **{name: curves[name] for name in ("loss", "learning_rate", "grad_norm", "validation")},
        tokens=summary["tokens"],
        rows=summary["rows"],
        seconds=summary["seconds"]["train"],
        model=summary["base"]["name"],
        parameters=summary["base"]["parameters"],
        adapter_parameters=summary["adapter_parameters"],
        device=summary["device"],
    )


def _artifact(each: Ancestor) -> ArtifactUsed:
    """What is known of it: of one that is not kept any more its content alone."""
    manifest = each.manifest
    return ArtifactUsed(
        asset=each.asset,
        fingerprint=manifest.fingerprint if manifest else "",
        content_hash=each.content_hash,
        code_version=manifest.code_version if manifest else "",
        git_commit=manifest.git_commit if manifest else "",
    )


def _source(place: Place, found: Sequence[Ancestor]) -> dict[str, Any]:
    """What the raw rows say of where they came from."""
    for each in found:
        if each.asset == "raw_medical_o1" and each.manifest:
            folder = place.store.folder(each.asset, each.manifest.fingerprint)
            return dict(read_json(folder / "source.json"))
    return {"not known": f"not kept any more: {', '.join(each.asset for each in found if each.manifest is None)}"}
