"""The systemd units: valid, hardened, and each with no more secrets than it needs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from medcot_pipeline_tests.deploy.served import DEPLOY

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MOST_EXPOSED = 25
"""Of 100, by `systemd-analyze security`; a unit without any hardening has 96."""

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH")


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units with commands that exist on this machine."""
    for unit in UNITS:
        text = re.sub(r"/opt/medcot/\S*/bin/[a-z-]+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    return sorted(tmp_path.glob("*.service"))


def test_systemd_accepts_the_units(units: list[Path]) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_shut_off_from_the_machine(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_only_the_code_server_gets_the_keys_of_judges_and_hubs(unit: Path) -> None:
    assert ("secrets.env" in unit.read_text()) == (unit.stem == "medcot-code")
