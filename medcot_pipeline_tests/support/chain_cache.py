"""The chain of the profile `tiny`, made once for all sessions that would make the same one.

It is kept below `build/chains`, by a key over everything that it is made from. While a session uses a chain it shares a
lock on it, and no other session removes it.

Belongs here: the key, making a chain whole or not at all, noticing that somebody changed it, removing old ones.
Does not belong here: copies for those who change something (home.py).
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from medcot_pipeline_tests.support.home import ROOT, Home

CHAINS = ROOT / "build" / "chains"
MADE_FROM = (
    "medcot_pipeline",
    "data/sample",
    "data/prompts",
    "data/general",
    "constraints.txt",
    "pyproject.toml",
    "medcot_pipeline_tests/support/home.py",
    "medcot_pipeline_tests/support/chain_cache.py",
)
"""Files and folders of the project, from its root."""
KEPT = 2
"""Chains that stay: the newest one and the one before, which a change that is taken back finds again."""
LISTING = "listing.json"


@contextlib.contextmanager
def cached_chain(folder: Path, make: Callable[[Home], None], key: Callable[[], str]) -> Iterator[Home]:
    """The chain that the project makes as it is now, which nobody may change; made where it is not there.

    Args:
        folder: where chains are kept.
        make: makes a chain in an empty home.
        key: what the chain depends on, as a name.

    Raises:
        RuntimeError: the project changed while the chain was made.
        AssertionError: on leaving, somebody changed the chain's files; they are named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock", fcntl.LOCK_EX):
        _remove_all(folder.glob(".*"))  # of sessions that were killed
        chain = folder / key()
        if not _is_whole(chain):
            _remove_all([chain])
            _make(chain, make, key)
        os.utime(chain)
        listed = _listed(chain)
        in_use = (chain / LISTING).open("rb")
        fcntl.flock(in_use, fcntl.LOCK_SH)
        _remove_all(path for path in _oldest(folder) if _is_unused(path))
    with in_use:
        yield Home(chain / "home")
        changed = _differences(listed, listing(chain / "home"))
    assert not changed, (
        f"A test changed the chain that all tests read, in {len(changed)} places; it belongs on a copy: "
        f"{', '.join(changed[:5])}"
    )


def sync(home: Home) -> None:
    """Make the whole chain in a home."""
    done = home.run("medcot", "sync")
    assert done.returncode == 0, done.stdout + done.stderr


def project_key(root: Path = ROOT, made_from: Iterable[str] = MADE_FROM) -> str:
    """What a chain depends on, as a short hash: files of the project, Python, and every installed package."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name, version in sorted((each.name, each.version) for each in metadata.distributions()):
        digest.update(f"{name} {version}\n".encode())
    for path in sorted(_files(root, made_from)):
        digest.update(f"{path.relative_to(root)} {_sha256(path)}\n".encode())
    return digest.hexdigest()[:16]


def listing(home: Path) -> dict[str, str]:
    """Every file and link of a home by what it holds, and every folder."""
    found = {}
    for path in home.rglob("*"):
        name = str(path.relative_to(home))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        else:
            found[name] = "folder" if path.is_dir() else _sha256(path)
    return found


def _files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = root / name
        for each in [path] if path.is_file() else path.rglob("*"):
            if each.is_file() and each.suffix != ".pyc":
                yield each


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(chain: Path, make: Callable[[Home], None], key: Callable[[], str]) -> None:
    """Make a chain under another name; it gets its own once it is whole and can be read only."""
    unfinished = chain.with_name(f".{chain.name}")
    (unfinished / "home").mkdir(parents=True)
    make(Home(unfinished / "home"))
    if chain.name != key():
        raise RuntimeError("The package or its data changed while the tests' chain was made. Start the tests again.")
    listed = json.dumps(listing(unfinished / "home"), indent=0, ensure_ascii=False)
    (unfinished / LISTING).write_text(listed, encoding="utf-8")
    for path in (unfinished / "home", *(unfinished / "home").rglob("*")):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    unfinished.rename(chain)


def _is_whole(chain: Path) -> bool:
    """Whether a chain is there as it was made."""
    return (chain / LISTING).is_file() and not _differences(_listed(chain), listing(chain / "home"))


def _listed(chain: Path) -> dict[str, str]:
    return dict(json.loads((chain / LISTING).read_text(encoding="utf-8")))


def _differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What became of files, as a reader is told."""
    gone = [f"{name} is gone" for name in sorted(before.keys() - now.keys())]
    new = [f"{name} is new" for name in sorted(now.keys() - before.keys())]
    both = sorted(before.keys() & now.keys())
    return gone + new + [f"{name} has changed" for name in both if before[name] != now[name]]


def _oldest(folder: Path) -> list[Path]:
    """All chains but those that were used last."""
    chains = [path for path in folder.iterdir() if path.is_dir()]
    return sorted(chains, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]


def _is_unused(chain: Path) -> bool:
    """Whether no session uses a chain; none can begin to while the lock on all of them is held."""
    try:
        with _locked(chain / LISTING, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


@contextlib.contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, operation)
        yield


def _remove_all(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_dir():
            for path in (folder, *folder.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)
            shutil.rmtree(folder)
