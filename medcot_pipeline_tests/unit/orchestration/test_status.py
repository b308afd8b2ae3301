"""What the status shows of a failed run, over Dagster's own storage."""

from pathlib import Path

import dagster as dg
import pytest

from medcot_pipeline.artifacts.store import RejectedArtifact
from medcot_pipeline.orchestration.instance.status import failure_line
from medcot_pipeline.support.errors import MedcotError

FOREIGN = "Error code: 401 - no, Bearer sk-never-to-be-seen"


@pytest.mark.parametrize(
    "ours",
    [MedcotError("The judge answers no call."), RejectedArtifact("The judge answers", "no call.", "judgements", ())],
)
def test_of_an_error_with_a_foreign_one_behind_it_ours_is_shown(tmp_path: Path, ours: MedcotError) -> None:
    """Older versions stored such chains, and a server's words can hold the key."""

    @dg.asset
    def judgements() -> None:
        raise ours from ValueError(FOREIGN)

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        failed = dg.materialize([judgements], instance=instance, raise_on_error=False)
        assert failure_line(instance, failed.dagster_run) == "judgements: The judge answers no call."


def test_of_an_error_that_is_not_ours_the_cause_is_shown(tmp_path: Path) -> None:
    @dg.asset
    def judgements() -> None:
        raise RuntimeError("above") from ValueError("what was wrong")

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        failed = dg.materialize([judgements], instance=instance, raise_on_error=False)
        assert failure_line(instance, failed.dagster_run) == "judgements: what was wrong"
