"""The page as a team sees it: headless Chromium, TLS and a password, through nginx."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from medcot_pipeline.stages import STAGES
from medcot_pipeline_tests.browser.test_dagster_page import QUIET
from medcot_pipeline_tests.deploy.served import NAME, PASSWORDS, Served

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: the served page is not tried")


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    """A reader's page; its console may hold no error."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    with sync_playwright() as playwright:
        resolve = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, resolve])
        opened = browser.new_page(
            viewport={"width": 1500, "height": 1000},
            ignore_https_errors=True,
            base_url=served.origin,
            http_credentials={"username": "reader", "password": PASSWORDS["reader"]},
        )
        opened.set_default_timeout(60_000)
        opened.on("console", note)
        yield opened
        browser.close()
    assert errors == []


def test_a_reader_sees_the_graph_and_cannot_launch(page: Page) -> None:
    page.goto("/asset-groups")
    for group in sorted({stage.group for stage in STAGES}):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button").filter(has_text="Materialize all")).to_be_disabled()


def test_a_reader_follows_a_run(page: Page, served: Served, whole_run: str) -> None:
    page.goto(f"/runs/{whole_run}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=600_000)
