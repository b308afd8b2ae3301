"""The tests' own cache of the chain, and copies of a home, over small files."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from medcot_pipeline_tests.support.chain_cache import cached_chain, project_key
from medcot_pipeline_tests.support.home import Home

ARTIFACT, DATABASE = Path("data/artifacts/rows/f0/rows.txt"), Path("dagster/runs.db")


def make(home: Home) -> None:
    """A home with one artifact, the link to it, and a database."""
    for path in (home.folder / ARTIFACT, home.folder / DATABASE):
        path.parent.mkdir(parents=True)
        path.write_text("made")
    (home.data / "current").mkdir()
    (home.data / "current" / "rows").symlink_to("../artifacts/rows/f0")


def make_again(home: Home) -> None:
    raise AssertionError("a chain was made again")


def fail(home: Home) -> None:
    make(home)
    raise AssertionError("medcot sync failed")


def session(folder: Path, key: str = "now", made_by: Callable[[Home], None] = make) -> AbstractContextManager[Home]:
    return cached_chain(folder, made_by, lambda: key)


def use(folder: Path) -> None:
    """A session of a process of its own, which leaves a file where it made the chain."""

    def make_and_tell(home: Home) -> None:
        make(home)
        (folder / f"made by {os.getpid()}").touch()

    with session(folder, made_by=make_and_tell):
        pass


def test_a_chain_is_made_once_and_found_again(tmp_path: Path) -> None:
    with session(tmp_path) as first:
        pass
    with session(tmp_path, made_by=make_again) as second:
        assert second == first
        assert (second.current("rows") / "rows.txt").read_text() == "made"


def test_sessions_that_start_at_once_make_one_chain(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=use, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(tmp_path.glob("made by *"))) == 1


def test_nothing_in_a_chain_can_be_written(tmp_path: Path) -> None:
    with session(tmp_path) as chain:
        paths = [chain.folder, *chain.folder.rglob("*")]
    assert [path for path in paths if path.stat().st_mode & 0o222] == []


def test_a_chain_whose_making_failed_is_made_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="medcot sync failed"), session(tmp_path, made_by=fail):
        pass
    with session(tmp_path) as chain:
        assert (chain.folder / ARTIFACT).is_file()


def test_a_chain_of_a_package_that_changed_meanwhile_is_not_kept(tmp_path: Path) -> None:
    keys = iter(["before", "after"])
    with pytest.raises(RuntimeError, match="changed while"), cached_chain(tmp_path, make, lambda: next(keys)):
        pass
    assert not (tmp_path / "before").exists()


def test_a_changed_file_is_named_and_the_next_session_makes_the_chain_again(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=rf"on a copy: {ARTIFACT} has changed"), session(tmp_path) as chain:
        changed = chain.folder / ARTIFACT
        changed.chmod(0o600)
        changed.write_text("mode")
    with session(tmp_path) as again:
        assert (again.folder / ARTIFACT).read_text() == "made"


def test_only_the_newest_chains_stay_and_those_in_use(tmp_path: Path) -> None:
    for key in ("first", "second"):
        with session(tmp_path, key):
            pass
    with session(tmp_path, "in use"):
        for key in ("fourth", "fifth"):
            with session(tmp_path, key):
                pass
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "in use", "fourth", "fifth"}


@pytest.mark.parametrize("name", ["package/module.py", "package/new.yaml", "constraints.txt"])
def test_another_file_gives_another_key(tmp_path: Path, name: str) -> None:
    made_from = ("package", "constraints.txt")
    (tmp_path / "package").mkdir()
    for each in ("package/module.py", "constraints.txt"):
        (tmp_path / each).write_text("1")
    before = project_key(tmp_path, made_from)
    (tmp_path / "package" / "module.pyc").write_text("compiled")
    assert project_key(tmp_path, made_from) == before
    (tmp_path / name).write_text("2")
    assert project_key(tmp_path, made_from) != before


def test_a_copy_shares_the_files_of_artifacts_alone_and_can_be_written(tmp_path: Path) -> None:
    with session(tmp_path / "chains") as chain:
        copy = chain.copy_to(tmp_path / "copy")
        assert (copy.folder / ARTIFACT).samefile(chain.folder / ARTIFACT)
        assert copy.current("rows") == (copy.folder / ARTIFACT).parent
        (copy.folder / DATABASE).write_text("written")
        (copy.folder / ARTIFACT).unlink()
        assert (chain.folder / DATABASE).read_text() == "made"
    folders = [path for path in copy.folder.rglob("*") if path.is_dir()]
    assert all(path.stat().st_mode & 0o200 for path in folders)
