"""What the database behind the Dagster instance says when it cannot be used.

Belongs here: telling such an error from any other, in one line.
Does not: connecting (Dagster does), or mending what an interrupted run left.
"""

from medcot_pipeline.errors import MedcotError, causes


def storage_problem(error: BaseException) -> MedcotError | None:
    """The line for an error that comes from the database being away or unusable; None for any other error."""
    from sqlalchemy.exc import OperationalError

    cause = next((each for each in causes(error) if isinstance(each, OperationalError)), None)
    if cause is None:
        return None
    said = str(cause.orig).strip().splitlines()[0]
    return MedcotError(
        f"The storage of the Dagster instance cannot be used: {said.rstrip('.')}.",
        "Artifacts are whole. Once it answers again, run `medcot sync`: it goes on where this stopped.",
    )
