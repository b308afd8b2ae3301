"""Where a pass works: settings, the project folder and the store.

Belongs here: what rooms need of a pass beside their inputs.
Does not belong here: which stages there are (graph.py), inputs and identities (workspace.py).
"""

import dataclasses
from pathlib import Path

from medcot_pipeline.artifacts import ArtifactStore, Manifest
from medcot_pipeline.settings import Settings


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A published artifact, or a copy of one: its manifest, and the folder that it lies in."""

    manifest: Manifest
    folder: Path

    @property
    def content_hash(self) -> str:
        """sha256 over its content."""
        return self.manifest.content_hash


@dataclasses.dataclass(frozen=True)
class Place:
    """The profile's name and settings, the project folder, from which relative paths start, and the store."""

    profile: str
    settings: Settings
    root: Path
    store: ArtifactStore

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.store.root

    def current(self, asset: str) -> Artifact | None:
        """The asset's artifact that the last pass chose, or None where there is none that is whole."""
        manifest = self.store.current(asset)
        return self.artifact(manifest) if manifest else None

    def artifact(self, manifest: Manifest) -> Artifact:
        """The published artifact of a manifest."""
        return Artifact(manifest, self.store.folder(manifest.asset, manifest.fingerprint))
