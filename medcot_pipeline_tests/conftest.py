"""Fixtures that several kinds of tests share.

Belongs here: a whole chain in the profile `tiny`, made once for a test run.
Does not: anything that replaces a real part.
"""

import os
from pathlib import Path

import pytest

from medcot_pipeline_tests.support.home import Home

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: tests share two cores with servers
os.environ["PATH"] += f"{os.pathsep}/usr/sbin"  # where Debian keeps nginx, and a user's PATH does not lead


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The whole chain on the sample in the profile `tiny`, by `medcot sync`."""
    home = Home(tmp_path_factory.mktemp("chain"))
    done = home.run("medcot", "sync")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture
def fresh_home(tmp_path: Path) -> Home:
    """A home where nothing was made yet."""
    return Home(tmp_path)
