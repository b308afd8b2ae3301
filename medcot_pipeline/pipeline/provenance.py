"""Where figures come from: the artifacts, settings, versions and seeds that an artifact was made with.

Belongs here: collecting them from the manifests of what it was made from, and the training's summary.
Does not: how the report shows them. What is current and set today: the figures may have been made of something else.
"""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import Identity, Manifest
from medcot_pipeline.artifacts.lineage import Ancestor, ancestors
from medcot_pipeline.artifacts.manifest import git_commit, package_versions
from medcot_pipeline.orchestration.publication import AssetRun
from medcot_pipeline.stages import STAGES, Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json


def provenance(workspace: Workspace, identity: Identity, inputs: Mapping[str, Manifest]) -> dict[str, Any]:
    """Hashes of every artifact that a report rests on, versions, commit, settings (without secrets), sources and seeds.

    Settings that change no output, such as the number of calls in flight, are in no manifest, and not here either.

    Args:
        workspace: whose artifacts.
        identity: the report's.
        inputs: the manifests of what it is made from, by asset.

    Raises:
        MedcotError: the inputs rest on different artifacts of one asset: their figures do not belong together.
    """
    found = lineage(workspace, identity.asset, inputs)
    settings = recorded_settings(identity, found)
    return {
        "artifacts": [_artifact(each) for each in found],
        "packages": {"python": platform.python_version(), **recorded_versions(identity.asset, found)},
        "git_commit": git_commit(workspace.root),
        "settings": settings,
        "sources": _source(workspace, found),
        "seeds": {name: settings[name]["seed"] for name in ("training", "perplexity", "answers", "report")},
    }


def inputs_of(run: AssetRun) -> dict[str, Manifest]:
    """The manifests of what a run makes its asset from, by asset."""
    return {name: Manifest.read(run.input(name)) for name in run.stage.inputs}


def lineage(workspace: Workspace, asset: str, inputs: Mapping[str, Manifest]) -> list[Ancestor]:
    """What an artifact over these inputs is made from, in the order of stages, one artifact of each asset.

    Raises:
        MedcotError: the inputs rest on different artifacts of one asset.
    """
    found: dict[str, Ancestor] = {}
    for each in ancestors(workspace.store, asset, inputs):
        other = found.setdefault(each.asset, each)
        if other is not each:
            raise MedcotError(
                f"{asset}: {other.used_by} ({other.content_hash[:12]}) and {each.used_by} ({each.content_hash[:12]}) "
                f"rest on different artifacts of {each.asset}, so that their figures do not belong together.",
                "Run `medcot sync`, which makes again what is stale.",
            )
    return [found[stage.asset] for stage in STAGES if stage.asset in found]


def recorded_settings(identity: Identity, found: Sequence[Ancestor]) -> dict[str, Any]:
    """The settings by which an artifact and all that it is made from were made, nested by section.

    Where two of them recorded the same setting, the earlier stage's counts.
    """
    nested: dict[str, Any] = {}
    recorded = [each.manifest.settings for each in found if each.manifest]
    for name, value in (pair for settings in [*recorded, identity.settings] for pair in settings.items()):
        *sections, field = name.split(".")
        section = nested
        for each in sections:
            section = section.setdefault(each, {})
        section.setdefault(field, value)
    return nested


def recorded_versions(asset: str, found: Sequence[Ancestor]) -> dict[str, str]:
    """Versions of packages; where they changed on the way, each with the assets that were made with it."""
    made_with: dict[str, dict[str, list[str]]] = {}
    recorded = [(each.asset, each.manifest.packages) for each in found if each.manifest]
    for name, packages in [*recorded, (asset, package_versions())]:
        for package, version in packages.items():
            made_with.setdefault(package, {}).setdefault(version, []).append(name)
    return {
        package: next(iter(versions))
        if len(versions) == 1
        else "; ".join(f"{version} ({', '.join(assets)})" for version, assets in versions.items())
        for package, versions in sorted(made_with.items())
    }


def training_summary(adapter: Path) -> dict[str, Any]:
    """What the report says of the training run."""
    summary, curves = read_json(adapter / "aside" / "training.json"), read_json(adapter / "curves.json")
    return {
        **{name: curves[name] for name in ("loss", "learning_rate", "grad_norm", "validation")},
        "tokens": summary["tokens"],
        "rows": summary["rows"],
        "seconds": summary["seconds"]["train"],
        "model": summary["base"]["name"],
        "parameters": summary["base"]["parameters"],
        "adapter_parameters": summary["adapter_parameters"],
        "device": summary["device"],
    }


def _artifact(each: Ancestor) -> dict[str, str]:
    """What is known of it: of one that is not kept any more its content alone."""
    manifest = each.manifest
    return {
        "asset": each.asset,
        "fingerprint": manifest.fingerprint if manifest else "",
        "content_hash": each.content_hash,
        "code_version": manifest.code_version if manifest else "",
        "git_commit": manifest.git_commit if manifest else "",
    }


def _source(workspace: Workspace, found: Sequence[Ancestor]) -> dict[str, Any]:
    """What the raw rows say of where they came from."""
    for each in found:
        if each.asset == "raw_medical_o1" and each.manifest:
            folder = workspace.store.folder(each.asset, each.manifest.fingerprint)
            return dict(read_json(folder / "source.json"))
    return {"not known": f"not kept any more: {', '.join(each.asset for each in found if each.manifest is None)}"}
