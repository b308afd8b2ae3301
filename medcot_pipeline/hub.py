"""What goes wrong between this machine and the hub, in one line.

Belongs here: which errors mean that something cannot be fetched.
Does not: what is fetched (corpus/sources.py, models/base.py).
"""

import contextlib
from collections.abc import Iterator

from medcot_pipeline.errors import MedcotError, root_cause


@contextlib.contextmanager
def fetching(what: str, way_out: str) -> Iterator[None]:
    """Turn the hub client's errors within the block into one that names `what` and the way out.

    Raises:
        MedcotError: no network, or no such repository, revision or file.
    """
    from httpx import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        raise MedcotError(f"{what} cannot be fetched ({root_cause(error)}).", way_out) from error
