"""The real Dagster web page, in headless Chromium."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from medcot_pipeline_tests.support.chromium import chromium, needs_chromium
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.servers import wait_until_served
from medcot_pipeline_tests.support.sockets import free_ports, listening

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def dagster_dev(chain: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Address and process of `dagster dev` over a copy of the chain, started as the README says."""
    (port,) = free_ports(1)
    server = subprocess.Popen(
        ["bash", "-c", f'eval "$(medcot env)" && dagster dev -p {port}'],
        cwd=ROOT,
        env=chain.copy_to(tmp_path_factory.mktemp("page")).environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{address}/server_info", server, patience=180)
        yield address, server.pid
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=90)


@pytest.fixture
def dagster_page(dagster_dev: tuple[str, int]) -> str:
    return dagster_dev[0]


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1500, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened


def test_an_asset_materialised_by_its_button_shows_its_table_and_its_picture(dagster_page: str, page: Page) -> None:
    page.goto(f"{dagster_page}/assets/raw_medical_o1")
    page.get_by_role("button").filter(has_text=re.compile("^Materialize$")).click()
    page.get_by_text("Launched run").wait_for()
    expect(metadata_row(page, "reused")).to_contain_text("true", timeout=120_000)
    expect(metadata_row(page, "preview").get_by_text("reasoning", exact=True)).to_be_visible()
    metadata_row(page, "lengths").get_by_text("Show Markdown").click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300


def metadata_row(page: Page, key: str) -> Locator:
    """The row of one metadata entry on an asset's page."""
    return page.get_by_role("row").filter(has=page.get_by_text(key, exact=True))


def test_the_graph_shows_every_group(dagster_page: str, page: Page) -> None:
    page.goto(f"{dagster_page}/asset-groups")
    for group in ("corpus", "sft", "training", "evaluation", "release"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()


def test_dagster_dev_listens_on_loopback_alone(dagster_dev: tuple[str, int]) -> None:
    assert listening(dagster_dev[1]) == {"127.0.0.1"}
