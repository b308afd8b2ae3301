"""The page as a team sees it: headless Chromium, TLS and a password, through nginx."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from medcot_pipeline.table import STAGES
from medcot_pipeline_tests.deploy.served import NAME, PASSWORDS, Served
from medcot_pipeline_tests.support.chromium import chromium, needs_chromium

pytestmark = needs_chromium


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    """A reader's page; its console may hold no error."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    with chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as browser:
        opened = browser.new_page(
            viewport={"width": 1500, "height": 1000},
            ignore_https_errors=True,
            base_url=served.origin,
            http_credentials={"username": "reader", "password": PASSWORDS["reader"]},
        )
        opened.set_default_timeout(60_000)
        opened.on("console", note)
        yield opened
    assert errors == []


def test_a_reader_sees_the_graph_and_cannot_launch(page: Page) -> None:
    page.goto("/asset-groups")
    for group in sorted({stage.group for stage in STAGES}):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button").filter(has_text="Materialize all")).to_be_disabled()


def test_a_reader_follows_a_run(page: Page, served: Served, whole_run: str) -> None:
    page.goto(f"/runs/{whole_run}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=600_000)
