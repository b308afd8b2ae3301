"""Two passes at once: in one Dagster home, and in two homes over one data folder."""

import re
from collections import Counter
from pathlib import Path

import pytest

from medcot_pipeline_tests.conftest import Home
from medcot_pipeline_tests.faults.passes import CORPUS, Schedule, copy_artifacts, identities, watched

PUBLISHED = re.compile(r"\) (\w+): published in")
WAITING = re.compile(r"waiting for (the pool gpu|\w+ [0-9a-f]{12}), which is held by")


def race(home: Home, assets: tuple[str, ...], homes: tuple[str, ...], **overrides: str) -> str:
    """Two syncs of the same assets at once, each in the home of that name; what they said."""
    passes = [
        Schedule(home, assets, overrides | {"DAGSTER_HOME": str(home.folder / name)}).start(
            "medcot", "sync", "--only", ",".join(assets)
        )
        for name in homes
    ]
    assert [each.wait(timeout=600) for each in passes] == [0, 0], (home.folder / "passes.log").read_text()
    return (home.folder / "passes.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("homes", [("dagster", "dagster"), ("dagster", "another")], ids=["one home", "two homes"])
def test_two_syncs_at_once_both_succeed_and_every_asset_is_made_once(
    chain: Home, fresh_home: Home, homes: tuple[str, ...]
) -> None:
    assets = CORPUS[:3]
    with watched(fresh_home):
        said = race(fresh_home, assets, homes)
    assert Counter(PUBLISHED.findall(said)) == Counter(assets)
    assert identities(fresh_home, assets) == identities(chain, assets)
    assert [len(list(fresh_home.data.glob(f"artifacts/{asset}/*"))) for asset in assets] == [1, 1, 1]


@pytest.mark.faults
@pytest.mark.parametrize("homes", [("dagster", "dagster"), ("dagster", "another")], ids=["one home", "two homes"])
def test_two_trainings_at_once_train_once_and_the_second_says_for_whom_it_waits(
    chain: Home, tmp_path: Path, homes: tuple[str, ...]
) -> None:
    home = Home(tmp_path)
    copy_artifacts(chain, home, [*CORPUS, "base_model"])
    with watched(home):
        said = race(home, ("qlora_adapter",), homes, MEDCOT_TRAINING__MAX_TRAIN_TOKENS="1500")
    assert PUBLISHED.findall(said) == ["qlora_adapter"]
    assert WAITING.search(said), said
