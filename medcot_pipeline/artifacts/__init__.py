"""Artifacts: identity by fingerprint, manifests, atomic publication, verified reading.

Belongs here: everything that decides whether a published folder can be used again, and that nothing half written is.
Does not belong here: what the assets compute, or Dagster.
"""

from medcot_pipeline.artifacts.identity import FileHashes, Identity, canonical_json, sha256_file, sha256_text
from medcot_pipeline.artifacts.manifest import CheckOutcome, Manifest
from medcot_pipeline.artifacts.shown import FileLink, Markdown, Picture, Table
from medcot_pipeline.artifacts.store import ArtifactStore, Published

__all__ = [
    "ArtifactStore",
    "CheckOutcome",
    "FileHashes",
    "FileLink",
    "Identity",
    "Manifest",
    "Markdown",
    "Picture",
    "Published",
    "Table",
    "canonical_json",
    "sha256_file",
    "sha256_text",
]
