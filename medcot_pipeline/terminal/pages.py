"""What `medcot open` opens: the report, the review page, Dagster's page.

Belongs here: where each page is, and which command makes it where it is not there yet.
Does not belong here: making or serving a page.
"""

import socket
from pathlib import Path
from typing import Literal

from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError

Page = Literal["report", "review", "dagster"]
DAGSTER_ADDRESS = ("127.0.0.1", 3000)
"""Where `dagster dev` serves its page unless it is told otherwise."""
PATIENCE_S = 2.0


def report_page(workspace: Workspace) -> Path:
    """Where the report lies once it is made."""
    return workspace.data / "current" / "eval_report" / "report.html"


def review_page(workspace: Workspace) -> Path:
    """Where the review page that works without a server lies once it is made."""
    return workspace.data / "current" / "review_pack" / "review.html"


def find_page(workspace: Workspace, which: Page) -> tuple[str, str]:
    """A page that is there.

    Returns:
        What a person calls it: a path or an address; and its address for a browser.

    Raises:
        MedcotError: it is not there yet; the message has the command that makes it.
    """
    if which == "dagster":
        address = dagster_page(DAGSTER_ADDRESS)
        return address, address
    path = report_page(workspace) if which == "report" else review_page(workspace)
    if not path.is_file():
        raise MedcotError(f"There is no {which} page yet ({path}).", "`medcot sync` makes it.")
    return str(path), path.absolute().as_uri()


def dagster_page(address: tuple[str, int]) -> str:
    """The address of Dagster's page.

    Args:
        address: host and port that it is served at.

    Raises:
        MedcotError: nothing listens there; the message says how to start it.
    """
    host, port = address
    try:
        socket.create_connection(address, timeout=PATIENCE_S).close()
    except OSError as error:
        raise MedcotError(
            f"Nothing listens on {host}:{port}.",
            'Start Dagster\'s page in another terminal, `eval "$(medcot env)"; dagster dev`, and try again.',
        ) from error
    return f"http://{host}:{port}"
