"""What goes wrong between this machine and the hub, in one line.

Belongs here: which errors mean that something cannot be fetched, said without the hub's own words: a mirror may repeat
the token that it was sent.
Does not belong here: what is fetched (corpus/sources/source.py, models/origin/sources.py).
"""

import contextlib
from collections.abc import Iterator

from medcot_pipeline.settings.keys import key_problem
from medcot_pipeline.support.errors import MedcotError, causes
from medcot_pipeline.support.net.client import require_usable_environment


@contextlib.contextmanager
def fetching(what: str, way_out: str) -> Iterator[None]:
    """Turn the hub client's errors within the block into one that names `what` and the way out.

    Raises:
        MedcotError: no network, no such repository, revision or file, or a token or proxy that cannot be used.
    """
    from httpx import HTTPError, InvalidURL
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        require_usable_environment()
        raise MedcotError(f"{what} cannot be fetched ({_reason(error)}).", way_out) from None
    except (ImportError, ValueError, InvalidURL):
        require_usable_environment()
        _require_usable_token()
        raise


def _reason(error: Exception) -> str:
    """Why, in words that are not the server's: a status, what the system says, or the name of the error."""
    from httpx import ReadError, RemoteProtocolError
    from huggingface_hub.errors import HFValidationError

    for each in causes(error):
        response = getattr(each, "response", None)
        if response is not None:
            return f"{each.__class__.__name__}, HTTP {response.status_code}"
        if isinstance(each, ReadError | RemoteProtocolError):
            return "the connection broke off"
        if isinstance(each, HFValidationError):  # about the setting, by the library
            return " ".join(str(each).split())[:200]
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return [each.__class__.__name__ for each in causes(error)][-1]


def _require_usable_token() -> None:
    from huggingface_hub import get_token

    problem = key_problem(get_token() or "")
    if problem:
        raise MedcotError(
            f"HF_TOKEN cannot be sent: {problem}.", "Set it again, or unset it and run `hf auth login`."
        ) from None
