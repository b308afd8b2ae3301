"""Hold every published artifact and promoted adapter of a data folder against its manifest: `python verify.py DATA`.

Reads every byte, names what is damaged and then exits with 1; changes nothing.
"""

import sys
import tempfile
from pathlib import Path

from medcot_pipeline.artifacts import ArtifactStore, FileHashes


def main(data: Path) -> None:
    """Check all artifacts, those that nothing points to as well, and all copies of promoted adapters."""
    store = ArtifactStore(data, data)
    found = [*(data / "artifacts").glob("*/*"), *(data / "promoted" / "adapters").glob("*")]
    folders = sorted(folder for folder in found if not folder.name.startswith("."))
    with tempfile.TemporaryDirectory() as memory:
        store.hashes = FileHashes(Path(memory) / "hashes.json")  # not the folder's own memory: it would read nothing
        problems = [f"{folder}: {problem}" for folder in folders if (problem := store.damage(folder))]
    if problems:
        sys.exit("\n".join([*problems, "Move the named folders away and try again; `medcot sync` makes them anew."]))
    print(f"{len(folders)} artifacts below {data} are whole.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
