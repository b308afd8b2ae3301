"""The manifest of a published artifact.

Belongs here: its fields, reading and writing it.
Does not belong here: deciding whether the artifact may be used (store.py).
"""

import dataclasses
import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata as package_metadata
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.identity import Identity, canonical_json, sha256_text
from medcot_pipeline.support.errors import NOT_THERE, reading
from medcot_pipeline.support.files import write_whole

NAME = "manifest.json"
ASIDE = "aside"
NO_MANIFEST = (*NOT_THERE, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What says that a folder has no manifest, or none that is one."""
RECORDED_PACKAGES = (
    "accelerate",
    "bitsandbytes",
    "dagster",
    "datasets",
    "medcot-pipeline",
    "peft",
    "polars",
    "torch",
    "transformers",
    "trl",
    "unsloth",
)


@dataclasses.dataclass(frozen=True)
class CheckOutcome:
    """Result of one asset check; a failed blocking check keeps the artifact from being published."""

    name: str
    passed: bool
    blocking: bool
    description: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything known about a published artifact.

    `files` maps a path inside the artifact to its sha256. Files below `aside/` (pictures, logs, timings) are listed
    and verified too, but do not enter `content_hash`.
    """

    asset: str
    fingerprint: str
    content_hash: str
    code_version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    external: Mapping[str, str]
    files: Mapping[str, str]
    metadata: Mapping[str, Any]
    checks: Sequence[CheckOutcome]
    created: str
    git_commit: str
    packages: Mapping[str, str]

    @property
    def identity(self) -> Identity:
        """What the artifact was made from."""
        return Identity(self.asset, self.code_version, self.settings, self.inputs, self.external)

    @property
    def passed(self) -> bool:
        """Whether checks were recorded and every blocking one passed."""
        return bool(self.checks) and all(check.passed or not check.blocking for check in self.checks)

    def consistent_with(self, name: str) -> bool:
        """Whether the fingerprint and the content hash follow from what the manifest says, and the folder's name too.

        Args:
            name: the fingerprint, or the content hash for a copy that is named by it.
        """
        follow = self.fingerprint == self.identity.fingerprint and self.content_hash == content_hash(self.files)
        return follow and name in (self.fingerprint, self.content_hash)

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into the artifact's folder."""
        text = json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1, allow_nan=False)
        write_whole(folder / NAME, text + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read `manifest.json` of an artifact's folder.

        Raises:
            Unreadable: it cannot be read right now.
            NO_MANIFEST: it is missing or is not one.
        """
        with reading(folder / NAME):
            fields = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return cls(**{**fields, "checks": tuple(CheckOutcome(**check) for check in fields["checks"])})


def content_hash(files: Mapping[str, str]) -> str:
    """sha256 over the names and hashes of the files that carry meaning: all but those below `aside/`."""
    meaning = {name: digest for name, digest in files.items() if not name.startswith(f"{ASIDE}/")}
    return sha256_text(canonical_json(meaning))


@functools.cache
def git_commit(folder: Path) -> str:
    """The commit of a checkout, with `-dirty` behind it where files differ, or `unknown` outside of one."""
    if not (folder / "medcot_pipeline").is_dir():
        return "unknown"  # an installed package, called in a folder that may be another project's checkout
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a result, of those installed."""
    versions = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = package_metadata.version(name)
        except package_metadata.PackageNotFoundError:
            continue
    return versions
