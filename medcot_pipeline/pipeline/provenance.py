"""Where figures come from: the artifacts, settings, versions and seeds that an artifact was made with.

Not what is current and set today: the figures may have been made of something else.

Belongs here: collecting them from the manifests of what it was made from.
Does not belong here: how the report shows them.
"""

from collections.abc import Sequence
from typing import Any

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.artifacts.lineage import Ancestor, ancestors
from medcot_pipeline.artifacts.manifest import package_versions
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.support.errors import MedcotError


def lineage(run: Run) -> list[Ancestor]:
    """What an artifact is made from, in the order of stages, one artifact of each asset.

    Raises:
        MedcotError: the inputs were made from different artifacts of one asset.
    """
    asset, manifests = run.identity.asset, {name: artifact.manifest for name, artifact in run.inputs.items()}
    found: dict[str, Ancestor] = {}
    for each in ancestors(run.place.store, asset, manifests):
        other = found.setdefault(each.asset, each)
        if other is not each:
            raise MedcotError(
                f"{asset}: {other.used_by} ({other.content_hash[:12]}) and {each.used_by} ({each.content_hash[:12]}) "
                f"were made from different artifacts of {each.asset}, so their figures do not belong together.",
                "Run `medcot sync`, which rebuilds what is stale.",
            )
    return [found[name] for name in run.assets if name in found]


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
