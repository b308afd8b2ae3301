"""A data folder and a Dagster home of a test's own, and commands run in them as a person would.

Belongs here: the environment of a command; copies of a home.
Does not belong here: anything that replaces a real part.
"""

import contextlib
import dataclasses
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclasses.dataclass(frozen=True)
class Home:
    """A data folder and a Dagster home of their own, and the environment that names them."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environment(self, **overrides: str) -> dict[str, str]:
        """The environment of a command; nothing of the caller's settings is left in it."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MEDCOT_", "DAGSTER_", "WANDB_"))
        }
        own = {
            "MEDCOT_PROFILE": "tiny",
            "MEDCOT_DATA_DIR": str(self.data),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        return kept | own | overrides

    def run(self, *command: str, **overrides: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder and wait for it."""
        return subprocess.run(
            command, cwd=ROOT, env=self.environment(**overrides), capture_output=True, text=True, timeout=900
        )

    def current(self, asset: str) -> Path:
        """Folder of an asset's current artifact."""
        return (self.data / "current" / asset).resolve()

    def copy_to(self, folder: Path, *parts: str) -> "Home":
        """A home of its own that a test may change.

        Files of artifacts are hard links, because nobody rewrites one; whoever damages one puts a new file in its
        place. Everything else is copied, and can be written.

        Args:
            folder: where the copy goes.
            parts: what is copied, as paths below this home; everything by default.
        """
        artifacts = self.data / "artifacts"

        def link_or_copy(source: str, target: str) -> None:
            if Path(source).is_relative_to(artifacts):
                with contextlib.suppress(OSError):  # another file system
                    os.link(source, target)
                    return
            shutil.copy2(source, target)

        for part in parts or (".",):
            copy = folder / part
            shutil.copytree(self.folder / part, copy, symlinks=True, copy_function=link_or_copy, dirs_exist_ok=True)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink() and (path.is_dir() or path.stat().st_nlink == 1):
                    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)
        return Home(folder)
