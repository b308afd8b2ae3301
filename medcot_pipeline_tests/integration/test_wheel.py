"""The package as somebody installs it who has no checkout: a wheel, in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from medcot_pipeline.corpus.sources.source import SAMPLE
from medcot_pipeline.settings.load import PROJECT_FILES
from medcot_pipeline_tests.support.home import ROOT

MEDCOT = ("-m", "medcot_pipeline.cli")


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Every file of the checkout that git knows."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, tracked: list[str]) -> Path:
    """What the wheel installs, built from a copy of the checkout that holds nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked:
        copy = folder / "checkout" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            copy.symlink_to((ROOT / name).readlink())
        else:
            copy.write_bytes((ROOT / name).read_bytes())
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run([sys.executable, *build, str(folder / "checkout")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with the installed package in a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDCOT_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-P", *command],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(installed), "MEDCOT_PROFILE": "tiny"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_of_the_data_folder(
    installed: Path, tracked: list[str]
) -> None:
    packed = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    ours = {name for name in packed if ".dist-info/" not in name}
    assert ours == {name for name in tracked if name.startswith("medcot_pipeline/")}


@pytest.mark.parametrize("name", PROJECT_FILES)
def test_what_the_package_brings_along_is_what_lies_in_the_checkout(installed: Path, name: str) -> None:
    shipped = installed / "medcot_pipeline" / "shipped" / Path(name).name
    assert not shipped.is_symlink()
    assert shipped.read_bytes() == (ROOT / name).read_bytes()


def test_an_installed_package_finds_its_sample_and_works_in_the_folder_where_it_is_called(
    installed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    plan = run(installed, folder, *MEDCOT, "plan")
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout.startswith(f"Profile tiny, data in {folder / 'data'}\n")
    made = run(installed, folder, *MEDCOT, "sync", "--only", "raw_medical_o1")
    assert made.returncode == 0, made.stdout + made.stderr
    raw = folder / "data" / "current" / "raw_medical_o1"
    assert json.loads((raw / "source.json").read_text(encoding="utf-8"))["rows_read"] == 600
    manifest = json.loads((raw / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["external"]) == ["source file"]
    assert manifest["git_commit"] == "unknown", "the commit of somebody else's repository"
    assert {path.name for path in folder.iterdir()} == {".git", ".dagster", "data"}


def test_ones_own_file_of_that_name_is_read_in_the_place_of_the_sample(installed: Path, tmp_path: Path) -> None:
    own = tmp_path / SAMPLE
    own.parent.mkdir(parents=True)
    own.write_text("[]", encoding="utf-8")
    script = (
        "from pathlib import Path; from medcot_pipeline.settings import project_file, project_root; "
        f"print(project_file(Path({str(SAMPLE)!r}), project_root()))"
    )
    assert run(installed, tmp_path, "-c", script).stdout.strip() == str(own)
