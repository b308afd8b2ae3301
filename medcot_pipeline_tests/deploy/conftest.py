"""What the tests of `deploy/` share: a PostgreSQL server, and one served instance with a judge and a finished chain.

Belongs here: fixtures.
Does not belong here: how the instance is put together (shipped.py).
"""

import shutil
from collections.abc import Iterator

import pytest

from medcot_pipeline_tests.deploy.served import Served
from medcot_pipeline_tests.deploy.shipped import serve
from medcot_pipeline_tests.support.chat_endpoint import endpoint, longer_wins
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.postgres import INSTALLED, MISSING, PostgresServer, postgres_server

JUDGE_KEY = "sk-judge-5f1e7c9a"
WEBHOOK_TOKEN = "hook-token-8c2d41b7"


@pytest.fixture(scope="session")
def installed() -> None:
    """Say what is missing on this machine."""
    missing = [program for program in ("nginx", "openssl", "rsync") if shutil.which(program) is None]
    if missing or not INSTALLED:
        pytest.skip(f"{', '.join(missing)} not on PATH: deploy/ is not tried" if missing else MISSING)


@pytest.fixture(scope="session")
def postgres(installed: None) -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def served(chain: Home, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served instance whose data folder holds the models' artifacts of the chain, and that asks a judge."""
    folder = tmp_path_factory.mktemp("served")
    chain.copy_to(folder, "data/artifacts")
    for asset in ("normalized_corpus", "sft_dataset"):
        shutil.rmtree(folder / "data" / "artifacts" / asset)
    with endpoint(longer_wins) as (url, _):
        settings = {
            "MEDCOT_JUDGE__BASE_URL": url,
            "MEDCOT_JUDGE__MODEL": "judge",
            "MEDCOT_JUDGE__API_KEY": JUDGE_KEY,
            "MEDCOT_AUTOMATION__WEBHOOK_URL": f"{url}/{WEBHOOK_TOKEN}",
        }
        with serve(folder, postgres.create("served"), settings) as instance:
            yield instance


@pytest.fixture(scope="session")
def whole_run(served: Served) -> str:
    """Id of a run over the whole graph that the operator launched and the daemon started."""
    return served.launch()
