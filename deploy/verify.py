"""Hold every published artifact and promoted adapter of a data folder against its manifest: `python verify.py DATA`.

Reads every byte, follows the links to what is current and promoted, names what is damaged or not there, and then exits
with 1; changes nothing.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medcot_pipeline.artifacts import ArtifactStore, FileHashes
from medcot_pipeline.support.errors import Unreadable


def main(data: Path) -> None:
    """Check all artifacts and copies of promoted adapters, those that nothing points to as well, and all links."""
    store = ArtifactStore(data, data)
    found = [*(data / "artifacts").glob("*/*"), *(data / "promoted" / "adapters").glob("*")]
    folders = sorted(folder for folder in found if not folder.name.startswith("."))
    with tempfile.TemporaryDirectory() as memory:
        store.hashes = FileHashes(Path(memory) / "hashes")  # not the folder's own memory: it would read nothing
        problems = [*damages(store, folders), *dangling(data)]
    if problems:
        sys.exit("\n".join([*problems, "Move what is named away and try again; `medcot sync` makes it anew."]))
    print(f"{len(folders)} artifacts below {data} are whole.")


def damages(store: ArtifactStore, folders: list[Path]) -> Iterator[str]:
    """What is wrong with published folders."""
    for folder in folders:
        try:
            if problem := store.damage(folder):
                yield f"{folder}: {problem}"
        except Unreadable as error:
            yield str(error)


def dangling(data: Path) -> Iterator[str]:
    """Links to artifacts that are not there."""
    for link in sorted([*data.glob("current/[!.]*"), *data.glob("promoted/[!.]*")]):
        if link.is_symlink() and not link.exists():
            yield f"{link}: leads to {link.readlink()}, which is not there"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
