from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline_tests.support.chromium import chromium, needs_chromium
from medcot_pipeline_tests.unit.evaluation.report.test_report import ATTACK, JUDGED, REVIEWED, report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    html = render_report(report(judge=JUDGED, human=REVIEWED))
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    with browser.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        requests: list[str] = []
        page.goto((tmp_path / "report.html").as_uri())
        assert requests == [(tmp_path / "report.html").as_uri()], "the page asks for itself and nothing else"
        yield page


def test_markup_that_a_model_wrote_is_shown_and_does_nothing(page: Page) -> None:
    assert page.title().startswith("MedCoT evaluation")
    assert page.locator("script, img, think").count() == 0
    assert ATTACK in page.locator("article").first.inner_text()


def test_reasoning_is_folded_until_it_is_asked_for(page: Page) -> None:
    reasoning = page.locator("article details .reasoning").first
    assert not reasoning.is_visible()
    page.locator("article details summary").first.click()
    assert reasoning.is_visible()


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_is_no_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_chinese_labels_in_charts_are_drawn_with_glyphs_of_their_own(browser: Browser, tmp_path: Path) -> None:
    """A font without Chinese draws every character as the same box: two different ones then look alike."""
    pictures = []
    for category in ("急症", "用药"):
        made = report(judge=JUDGED, prompts=[Prompt(f"p{n}", "zh", category, "？") for n in range(6)])
        (tmp_path / "report.html").write_text(render_report(made), encoding="utf-8")
        with browser.new_context() as context:
            page = context.new_page()
            page.goto((tmp_path / "report.html").as_uri())
            pictures.append(page.get_by_role("img", name="Verdicts by category").screenshot())
    assert pictures[0] != pictures[1]
