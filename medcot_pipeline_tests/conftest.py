"""Fixtures that several kinds of tests share.

Belongs here: a whole chain in the profile `tiny`, made once for all test runs that would make the same one.
Does not belong here: anything that replaces a real part.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from medcot_pipeline_tests.support.chain_cache import CHAINS, cached_chain, project_key, sync
from medcot_pipeline_tests.support.home import Home

# Before torch loads: tests run side by side and share their cores with servers, and the models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PATH"] += f"{os.pathsep}/usr/sbin"  # where Debian keeps nginx, and a user's PATH does not lead
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background jobs ignore Ctrl-C, and so would the servers that tests start and end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test fails by the clock: two workers, and servers beside them, share the cores.
hypothesis.settings.register_profile("shared cores", deadline=None)
hypothesis.settings.load_profile("shared cores")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One file that needs the shared chain first, then those that do not: others run while a worker makes it."""
    with_chain = list(dict.fromkeys(item.path for item in items if "chain" in getattr(item, "fixturenames", ())))
    items.sort(key=lambda item: 0 if item.path in with_chain[:1] else 1 + (item.path in with_chain))


@pytest.fixture(scope="session")
def chain() -> Iterator[Home]:
    """The whole chain on the sample in the profile `tiny`, by `medcot sync`: for tests that read its files.

    Whoever runs a command or changes a file takes `chain_copy`, or `chain.copy_to`.
    """
    with cached_chain(CHAINS, sync, project_key) as home:
        yield home


@pytest.fixture
def chain_copy(chain: Home, tmp_path: Path) -> Home:
    """A copy of the chain that the test may change."""
    return chain.copy_to(tmp_path / "chain")


@pytest.fixture
def fresh_home(tmp_path: Path) -> Home:
    """A home where nothing was made yet."""
    return Home(tmp_path)
