"""The folder of published artifacts: atomic publication, reuse by fingerprint, verified reading.

Layout below the data folder: `artifacts/<asset>/<fingerprint>/` holds published artifacts, `current/<asset>` links to
the one that the last pass chose, `rejected/` and `damaged/` keep what was refused, `locks/` says who works on what,
`cache/` holds what can be made again.

Belongs here: the only code that writes below those folders.
Does not belong here: what is in an artifact.
"""

import contextlib
import datetime
import errno
import fcntl
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medcot_pipeline.artifacts.hash_memory import MEMORY
from medcot_pipeline.artifacts.identity import FileHashes, Identity, sha256_file
from medcot_pipeline.artifacts.manifest import (
    NAME,
    NO_MANIFEST,
    CheckOutcome,
    Manifest,
    content_hash,
    git_commit,
    package_versions,
)
from medcot_pipeline.artifacts.shown import Value, to_json
from medcot_pipeline.support.errors import NOT_THERE, MedcotError, comes_of, reading
from medcot_pipeline.support.files import make_folder, move, point, sync, sync_tree, write_whole
from medcot_pipeline.support.locks import hold, share
from medcot_pipeline.support.progress import Say

Checks = Callable[[Path], Sequence[CheckOutcome]]
Fill = Callable[[Path], Mapping[str, Value]]
STAGING = ".staging-"
SWEPT = ("artifacts/*", "promoted/adapters", "rejected/*", "damaged/*")
"""Folders in which something is made or deleted under a staging name."""
log = logging.getLogger(__name__)


class RejectedArtifact(MedcotError):
    """A blocking check failed: nothing was published of `asset`. `checks` are the outcomes of all its checks."""

    def __init__(self, problem: str, way_out: str, asset: str, checks: Sequence[CheckOutcome]) -> None:
        """Args: problem, way_out: as of every error of this project; asset: whose checks; checks: what they came to."""
        super().__init__(problem, way_out)
        self.asset, self.checks = asset, checks


class Published(NamedTuple):
    """A published artifact, and whether it had been published before."""

    manifest: Manifest
    reused: bool


class ArtifactStore:
    """All artifacts below one data folder."""

    def __init__(self, root: Path, project: Path) -> None:
        """Args: root: the data folder; project: the checkout whose commit manifests record."""
        self.root = root
        self._project = project
        self.hashes = FileHashes(root / "cache" / MEMORY)

    def folder(self, asset: str, fingerprint: str) -> Path:
        """Where an artifact lies, published or not."""
        return self.root / "artifacts" / asset / fingerprint

    def work(self, asset: str, fingerprint: str) -> Path:
        """A folder for whoever makes an artifact; it outlives a killed process."""
        return self.root / "work" / asset / fingerprint

    def lock_path(self, asset: str, fingerprint: str) -> Path:
        """The lock of whoever makes an artifact."""
        return self.root / "locks" / f"{asset}-{fingerprint}.lock"

    @property
    def publishing_lock(self) -> Path:
        """The lock that everybody who publishes shares, and that pruning takes alone."""
        return self.root / "locks" / "publishing.lock"

    def find(self, asset: str, fingerprint: str) -> Manifest | None:
        """The manifest of a published, whole and accepted artifact; a damaged one is set aside and not found.

        Raises:
            Unreadable: a file of it cannot be read right now, so that nothing is known; it stays where it is.
        """
        folder = self.folder(asset, fingerprint)
        while (looked_at := _inode(folder)) is not None:
            problem = self.damage(folder)
            if _inode(folder) != looked_at:
                continue  # another process put it aside, or made it anew, while it was read
            if problem is None:
                return Manifest.read(folder)
            kept = self._keep_damaged(folder, problem)
            log.warning("%s %s: %s; it is set aside in %s", asset, fingerprint[:12], problem, kept)
        return None

    def current(self, asset: str) -> Manifest | None:
        """The manifest of the artifact that the last pass chose, or None where there is none that is whole."""
        link = self.root / "current" / asset
        if not link.is_symlink():
            return None
        fingerprint = link.readlink().name
        return self.find(asset, fingerprint)

    def select(self, manifest: Manifest) -> None:
        """Point `current/<asset>` at a published artifact, in one step."""
        link = self.root / "current" / manifest.asset
        target = Path("..") / "artifacts" / manifest.asset / manifest.fingerprint
        if link.is_symlink() and link.readlink() == target:
            return
        if link.exists() and not link.is_symlink():
            log.warning("%s is not a link to an artifact; it is set aside in %s", link, self.keep_misplaced(link))
        point(link, target)

    def damage(self, folder: Path) -> str | None:
        """What is wrong with a published folder, or None: every file is held against the manifest's sha256.

        Raises:
            Unreadable: a file cannot be read right now, which says nothing of the folder.
        """
        try:
            manifest = Manifest.read(folder)
            consistent = manifest.consistent_with(folder.name)
        except NO_MANIFEST as error:
            return f"{NAME} cannot be read ({error.__class__.__name__})"
        if not consistent:
            return f"{NAME} has changed since it was published"
        if not manifest.passed:
            return "its manifest records no passed check"
        for name, expected in manifest.files.items():
            problem = self.hashes.problem(folder / name, expected)
            if problem:
                return f"{name} {problem}" if problem == "is missing" else f"{name} {problem} since it was published"
        return None

    def publish(
        self,
        identity: Identity,
        fill: Fill,
        checks: Checks,
        *,
        force: bool = False,
        instead_of: str = "",
        select: bool = True,
        holder: str = "another pass",
        say: Say = log.info,
    ) -> Published:
        """Make, check and publish an artifact, or reuse the one that is already published under this fingerprint.

        If several processes want the same artifact, the first makes it; the others wait and reuse the result.

        Args:
            identity: what the artifact is made from.
            fill: writes the files into the folder that it is given, and returns what people see beside them.
            checks: what must hold of the finished folder.
            force: make it again although it is published; the old one is set aside.
            instead_of: make it again if its content still has this hash; another process may have done so meanwhile.
            select: point `current/` at it.
            holder: what a waiting process calls this one.
            say: told while this process waits.

        Raises:
            RejectedArtifact: a blocking check failed; the output is kept below `rejected/`.
            MedcotError: the disk is full, or cannot be written; nothing is published.
        """
        asset, fingerprint = identity.asset, identity.fingerprint
        with (
            self._plain_disk_errors(asset),
            share(self.publishing_lock),
            hold(self.lock_path(asset, fingerprint), f"{asset} {fingerprint[:12]}", holder, say),
        ):
            before = None if force else self.find(asset, fingerprint)
            if before and before.content_hash == instead_of:
                before, force = None, True
            manifest = before or self._make(identity, fill, checks, force=force)
            if select:
                self.select(manifest)
            return Published(manifest, before is not None)

    def _make(self, identity: Identity, fill: Fill, checks: Checks, *, force: bool) -> Manifest:
        with self._staging(self.folder(identity.asset, identity.fingerprint).parent) as folder:
            metadata = fill(folder)
            manifest = self._manifest(identity, folder, metadata, tuple(checks(folder)))
            manifest.write(folder)
            if not manifest.passed:
                raise self._reject(manifest, folder)
            return Manifest.read(self._move_into_place(identity, folder, force=force))

    def copy(self, folder: Path, target: Path) -> None:
        """Copy a published folder, whole or not at all; on disk when this returns.

        The files are new ones, not hard links: what damages the one folder does not damage the other.
        """
        with self._staging(target.parent) as staging:
            shutil.copytree(folder, staging, dirs_exist_ok=True)
            sync_tree(staging)
            staging.rename(target)
            sync(target.parent)

    @contextlib.contextmanager
    def _plain_disk_errors(self, asset: str) -> Iterator[None]:
        """Say in one line that the disk is full, or cannot be written."""
        try:
            yield
        except MedcotError:
            raise
        except Exception as error:
            if disk_is_full(error):
                raise MedcotError(
                    f"No space left below {self.root} while writing {asset}; nothing was published.",
                    "Free some space and run `medcot sync` again.",
                ) from error
            if isinstance(error, OSError) and error.errno == errno.EROFS:
                raise MedcotError(
                    f"{error.filename or self.root}: cannot be written ({error.strerror}); nothing was published.",
                    "Make it writable, or set MEDCOT_DATA_DIR to a folder that is.",
                ) from error
            raise

    def _manifest(
        self, identity: Identity, folder: Path, metadata: Mapping[str, Value], checks: Sequence[CheckOutcome]
    ) -> Manifest:
        files = {
            path.relative_to(folder).as_posix(): sha256_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return Manifest(
            asset=identity.asset,
            fingerprint=identity.fingerprint,
            content_hash=content_hash(files),
            code_version=identity.code_version,
            settings=identity.settings,
            inputs=identity.inputs,
            external=identity.external,
            files=files,
            metadata={name: to_json(value) for name, value in metadata.items()},
            checks=checks,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            git_commit=git_commit(self._project),
            packages=package_versions(),
        )

    @contextlib.contextmanager
    def _staging(self, home: Path) -> Iterator[Path]:
        """A temporary folder beside the published ones, locked while its process lives."""
        make_folder(home)
        sweep(home)
        folder = home / f"{STAGING}{uuid.uuid4().hex}"
        lock = folder.with_name(f"{folder.name}.lock")
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def _move_into_place(self, identity: Identity, folder: Path, *, force: bool) -> Path:
        """Rename the finished folder to its final name; whoever loses a race adopts the winner's."""
        final = self.folder(identity.asset, identity.fingerprint)
        sync_tree(folder)
        if force and final.exists():
            self._keep_damaged(final, "a forced run made it again")
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        sync(final.parent)
        return final

    def _reject(self, manifest: Manifest, folder: Path) -> RejectedArtifact:
        kept = self.root / "rejected" / manifest.asset / manifest.fingerprint
        shutil.rmtree(kept, ignore_errors=True)
        move(folder, kept)
        failed = next(check for check in manifest.checks if check.blocking and not check.passed)
        return RejectedArtifact(
            f"{manifest.asset}: check {failed.name} failed: {failed.description} Nothing was published.",
            f"The refused output is kept in {kept}.",
            manifest.asset,
            manifest.checks,
        )

    def keep_misplaced(self, path: Path) -> Path:
        """Move what lies in the place of a link to `damaged/current/`; returns where to."""
        kept = self.root / "damaged" / "current" / f"{path.name}-{uuid.uuid4().hex[:8]}"
        return move(path, kept)

    def _keep_damaged(self, folder: Path, problem: str) -> Path:
        """Move an artifact to `damaged/` and write down why; returns where to."""
        kept = self.root / "damaged" / folder.parent.name / f"{folder.name[:12]}-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(FileNotFoundError):  # another process saw the same, and was first
            move(folder, kept)
            write_whole(kept / "why.txt", f"{problem}\n")
        return kept


def sweep(home: Path) -> list[Path]:
    """Remove staging folders of processes that are gone, half made or half deleted; returns what was removed."""
    removed = []
    for lock in home.glob(f"{STAGING}*.lock"):
        with contextlib.suppress(FileNotFoundError), lock.open("r+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            folder = lock.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            removed.append(folder)
    return removed


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that there is no space."""
    return comes_of(error, errno.ENOSPC, errno.EDQUOT)


def _inode(folder: Path) -> int | None:
    """Which folder lies at a path now."""
    try:
        with reading(folder):
            return folder.stat().st_ino
    except NOT_THERE:
        return None
