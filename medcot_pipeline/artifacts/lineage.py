"""What an artifact was made from, back to the sources: the manifests of its inputs, of theirs, and so on.

Belongs here: following content hashes from manifest to manifest.
Does not belong here: what is current, which may have changed since; what a report says of it (pipeline/provenance.py).
"""

import dataclasses
from collections.abc import Iterator, Mapping

from medcot_pipeline.artifacts.manifest import Manifest
from medcot_pipeline.artifacts.store import ArtifactStore


@dataclasses.dataclass(frozen=True)
class Ancestor:
    """An artifact that another was made from.

    Attributes:
        asset: whose artifact.
        content_hash: as the artifact that was made from it says.
        manifest: None where the artifact is not kept any more, or is damaged; what it was made from is then not known.
        used_by: the asset that names it among its inputs.
    """

    asset: str
    content_hash: str
    manifest: Manifest | None
    used_by: str


def ancestors(store: ArtifactStore, asset: str, inputs: Mapping[str, Manifest]) -> Iterator[Ancestor]:
    """Everything that an artifact over these inputs is made from; the inputs first, and each artifact once.

    Args:
        store: where the artifacts lie.
        asset: whose inputs these are.
        inputs: their manifests by asset.
    """
    todo = [Ancestor(name, manifest.content_hash, manifest, asset) for name, manifest in inputs.items()]
    known = {each.asset: each.content_hash for each in todo}
    seen: set[tuple[str, str]] = set()
    for each in todo:  # grows meanwhile
        if (each.asset, each.content_hash) in seen:
            continue
        seen.add((each.asset, each.content_hash))
        known.setdefault(each.asset, each.content_hash)
        yield each
        user = each.manifest
        if user:
            for name, content in user.inputs.items():  # first: each tells which of the others is meant
                known.setdefault(name, content)
            todo += [
                Ancestor(name, content, _find(store, name, content, user.created, known), each.asset)
                for name, content in user.inputs.items()
                if (name, content) not in seen
            ]


def _find(store: ArtifactStore, asset: str, content: str, used: str, known: Mapping[str, str]) -> Manifest | None:
    """A whole artifact with that content.

    Several can have it: an asset that was made of something else and came out the same, after which nothing was made
    again. Of them the one counts that was made from what else is `known` to have been used, by asset; of several such
    ones the newest that was there when it was `used`.
    """
    found = []
    for folder in (store.root / "artifacts" / asset).glob("*"):
        try:
            manifest = Manifest.read(folder)
        except (OSError, ValueError, TypeError, KeyError):
            continue  # damaged, or on its way
        if manifest.content_hash == content and store.damage(folder) is None:
            found.append(manifest)

    def order(manifest: Manifest) -> tuple[bool, bool, str]:
        fits = all(known.get(name, own) == own for name, own in manifest.inputs.items())
        return fits, manifest.created <= used, manifest.created

    return max(found, key=order, default=None)
