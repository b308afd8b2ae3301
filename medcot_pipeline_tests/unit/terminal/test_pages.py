"""Finding the pages that `medcot open` opens."""

import socket

import pytest

from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.terminal.pages import Page, dagster_page, find_page, report_page, review_page
from medcot_pipeline_tests.support import planning

workspace = planning.workspace


@pytest.mark.parametrize("which", ["report", "review"])
def test_a_page_that_is_not_there_yet_names_the_command_that_makes_it(workspace: Workspace, which: Page) -> None:
    with pytest.raises(MedcotError, match=rf"^There is no {which} page yet \(.*\)\. `medcot sync` makes it\.$"):
        find_page(workspace, which)


def test_a_page_is_found_as_a_path_and_as_an_address(workspace: Workspace) -> None:
    for which, path in (("report", report_page(workspace)), ("review", review_page(workspace))):
        path.parent.mkdir(parents=True)
        path.write_text("<html></html>", encoding="utf-8")
        assert find_page(workspace, "report" if which == "report" else "review") == (str(path), path.as_uri())


def test_the_page_of_a_dagster_that_listens_is_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        assert dagster_page((host, port)) == f"http://127.0.0.1:{port}"


def test_where_nothing_listens_the_error_says_how_to_start_dagster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with pytest.raises(MedcotError, match=r"^Nothing listens on 127\.0\.0\.1:\d+\. .*dagster dev"):
        dagster_page(address)
