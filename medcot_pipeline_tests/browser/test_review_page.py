import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from medcot_pipeline.evaluation.people.pack import build_pack, build_second_look, render_page
from medcot_pipeline.evaluation.people.review_file import HumanReview, join_review, load_review
from medcot_pipeline.evaluation.people.server import ReviewServer
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline_tests.support.chromium import chromium, needs_chromium

pytestmark = needs_chromium
MARKUP = "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\"><think>"
PROMPTS = [
    Prompt("a", "zh", "用药", "成人发热，体温 38.7℃，如何使用对乙酰氨基酚？请分三点回答。"),
    Prompt("b", "zh", "急症", "突发胸痛半小时，伴大汗，应该怎么办？"),
    Prompt("c", "en", "chronic", "List three ways to lower blood pressure without drugs."),
]


def answer(prompt_id: str, arm: Arm, text: str) -> Answer:
    return Answer(prompt_id, arm, "思考", text, True, True, 20)


ANSWERS = [
    answer("a", "base", "按说明书服用即可。"),
    answer("a", "tuned", "一、每次 0.5g。\n二、两次间隔至少 4 小时。\n三、一日不超过 2g。"),
    answer("b", "base", f"多休息。{MARKUP}"),
    answer("b", "tuned", "立即拨打 120，停止活动，等候急救。"),
    answer("c", "base", ""),
    answer("c", "tuned", "Less salt, more walking, less alcohol."),
]
PACK, KEY = build_pack(PROMPTS, ANSWERS, "salt", 1)
SECOND = build_second_look(PACK, KEY, {"a"}, {"c"}, "王 医生")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "review.html").write_text(render_page(PACK), encoding="utf-8")
    with browser.new_context(accept_downloads=True) as context:
        page = context.new_page()
        page.goto((tmp_path / "review.html").as_uri())
        yield page


def exported(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="导出").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def joined(path: Path) -> HumanReview:
    return join_review(load_review(path), [KEY], path)


def test_a_review_by_keyboard_survives_a_reload_and_its_export_is_joined(page: Page, tmp_path: Path) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.fill("#reviewer", "王 医生")
    page.fill("#qualification", "心内科主治医师")
    page.locator("h1").click()
    for key in ("1", "i", "c"):
        page.keyboard.press(key)
    page.keyboard.type("3 分钟内应就医；按 1 不换题")
    for key in ("Escape", "2"):
        page.keyboard.press(key)
    page.reload()
    expect(page.locator("#count")).to_have_text("已评 2/4")
    expect(page.locator("#number")).to_have_text("第 3 题，共 4 题")
    page.keyboard.press("3")
    expect(page.locator("#guess")).to_be_visible()
    page.keyboard.press("1")
    expect(page.locator("#note")).to_have_text("全部评完，请导出。")
    page.keyboard.press("4")
    for _ in range(2):
        page.keyboard.press("k")
    expect(page.locator("#guess")).to_be_hidden()
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect(page.locator("#comment")).to_have_value("3 分钟内应就医；按 1 不换题")
    path = exported(page, tmp_path)
    assert path.name == f"review-王-医生-{PACK.pack[:8]}.json"
    review, sides = joined(path), KEY.sides
    assert [verdict.outcome for verdict in review.verdicts] == [sides["1"].left, "tie", sides["3"].right]
    assert [verdict.prompt_id for verdict in review.verdicts] == [sides[item].prompt_id for item in "123"]
    assert (review.reviewer, review.qualification, review.missing) == ("王 医生", "心内科主治医师", 0)
    assert (review.unsafe.of(sides["2"].right), review.unsafe.of(sides["2"].left)) == ((sides["2"].prompt_id,), ())
    assert len(review.repeated) == 1
    assert (review.guesses.right, review.guesses.wrong) == ((1, 0) if sides["4"].left == "tuned" else (0, 1))
    assert {url.split(":")[0] for url in requests} <= {"file", "blob"}


def test_an_export_can_be_imported_elsewhere_and_what_was_judged_there_stays(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    page.fill("#reviewer", "王 医生")
    page.locator("h1").click()
    for key in ("1", "2"):
        page.keyboard.press(key)
    path = exported(page, tmp_path)
    with browser.new_context(accept_downloads=True) as context:
        other = context.new_page()
        other.goto(page.url)
        other.locator("h1").click()
        other.keyboard.press("3")
        other.set_input_files("#file", path)
        expect(other.locator("#note")).to_have_text("已导入 1 题；本页已有的评判保持不变。")
        expect(other.locator("#reviewer")).to_have_value("王 医生")
        verdicts = json.loads(exported(other, tmp_path).read_text())["verdicts"]
    assert [entry["choice"] for entry in verdicts] == ["right", "tie"]


def test_a_file_that_was_edited_is_not_imported(page: Page, tmp_path: Path) -> None:
    page.fill("#reviewer", "王 医生")
    page.locator("h1").click()
    page.keyboard.press("1")
    path = exported(page, tmp_path)
    path.write_text(path.read_text().replace('"left"', '"right"'))
    page.set_input_files("#file", path)
    expect(page.locator("#note")).to_have_text("这不是本页的评审文件，没有导入。")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ReviewServer]:
    with ReviewServer(0, [(PACK, KEY), SECOND], tmp_path / "reviews") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def sign(page: Page, reviewer: str) -> None:
    """Fill in who reviews, and leave the field."""
    if not page.locator("#reviewer").is_visible():
        page.locator("summary").click()
    page.fill("#reviewer", reviewer)
    page.locator("h1").click()


def judge(page: Page, keys: str) -> None:
    """Press keys, and wait until the server has everything."""
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#note")).to_contain_text("已存入 review-")


def saved(server: ReviewServer) -> dict[str, str]:
    """The choices of every file's reviewer, by their first letters, in the order of items."""
    loaded = [load_review(path) for path in sorted(server.folder.iterdir())]
    assert len({each["reviewer"] for each in loaded}) == len(loaded), "two files of one reviewer"
    return {each["reviewer"]: "".join(entry["choice"][0] for entry in each["verdicts"]) for each in loaded}


def test_what_is_served_is_saved_as_it_is_made_and_goes_on_in_the_same_browser(
    browser: Browser, served: ReviewServer
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(served.address)
        sign(page, "王 医生")
        judge(page, "12")
        page.close()
        page = context.new_page()
        page.goto(served.address)
        expect(page.locator("#count")).to_have_text("已评 2/4")
        judge(page, "3")
        page.goto(f"{served.address}{SECOND[0].pack[:8]}")
        expect(page.locator("h1")).to_have_text("盲法复评")
        expect(page.locator("#reviewer")).to_have_value("王 医生")
    assert saved(served) == {"王 医生": "ltr"}


def test_reviewers_in_two_browsers_keep_what_each_of_them_judged(browser: Browser, served: ReviewServer) -> None:
    with browser.new_context() as first, browser.new_context() as second:
        pages = [first.new_page(), second.new_page()]
        for page, reviewer, keys in zip(pages, ("王医生", "李医生"), ("1111", "333"), strict=True):
            page.goto(served.address)
            sign(page, reviewer)
            judge(page, keys)
    assert set(saved(served)) == {"王医生", "李医生"}


def test_a_second_reviewer_at_the_same_browser_starts_anew_and_the_first_goes_on_later(
    browser: Browser, served: ReviewServer
) -> None:
    asked: list[str] = []

    def another(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    with browser.new_context() as context:
        page = context.new_page()
        page.on("dialog", another)
        page.goto(served.address)
        sign(page, "王医生")
        judge(page, "12")
        sign(page, "李医生")
        expect(page.locator("#count")).to_have_text("已评 0/4")
        expect(page.locator("summary")).to_have_text("说明与评审人 · 李医生")
        judge(page, "3")
        sign(page, "王医生")
        expect(page.locator("#count")).to_have_text("已评 2/4")
        judge(page, "3")
        sign(page, "李医生")
        expect(page.locator("#count")).to_have_text("已评 1/4")
        expect(page.locator("#note")).to_contain_text("已存入 review-李医生")
    assert len(asked) == 1 and "已有 2 题以“王医生”的名义评过" in asked[0]
    assert saved(served) == {"王医生": "ltr", "李医生": "r"}


def test_a_corrected_name_takes_the_verdicts_along(browser: Browser, served: ReviewServer) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(served.address)
        sign(page, "王")
        judge(page, "12")
        sign(page, "王医生")
        expect(page.locator("#note")).to_contain_text("已存入 review-王医生")
        sign(page, "")
        expect(page.locator("#reviewer")).to_have_value("王医生")
    assert saved(served) == {"王医生": "lt"}


def test_a_tab_that_was_open_all_along_writes_no_older_state_over_a_newer_one(
    browser: Browser, served: ReviewServer
) -> None:
    with browser.new_context() as context:
        old, new = context.new_page(), context.new_page()
        old.goto(served.address)
        sign(old, "王医生")
        judge(old, "1")
        new.goto(served.address)
        new.keyboard.press("k")
        judge(new, "33")
        expect(old.locator("#count")).to_have_text("已评 2/4")
        old.bring_to_front()
        old.keyboard.press("j")
        judge(old, "2")
        new.close()
        old.reload()
        expect(old.locator("#count")).to_have_text("已评 3/4")
    assert saved(served) == {"王医生": "rrt"}


def test_a_verdict_on_its_way_to_the_server_is_not_called_saved(browser: Browser, tmp_path: Path) -> None:
    held: list[Route] = []
    with ReviewServer(0, [(PACK, KEY)], tmp_path) as server, browser.new_context() as context:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        page = context.new_page()
        page.goto(server.address)
        page.fill("#reviewer", "王 医生")
        page.locator("h1").click()
        page.keyboard.press("1")
        expect(page.locator("#note")).to_contain_text("已存入")
        page.route("**/*", lambda route: held.append(route))
        for key in ("2", "3"):
            page.keyboard.press(key)
            expect(page.locator("#note")).to_have_text("正在存入……")
        with page.expect_request("**/*"):
            held[0].continue_()
        expect(page.locator("#note")).to_have_text("正在存入……")
        held[1].continue_()
        expect(page.locator("#note")).to_contain_text("已存入")
        server.shutdown()
    (path,) = tmp_path.iterdir()
    assert [entry["item"] for entry in json.loads(path.read_text())["verdicts"]] == [1, 2, 3]


def test_answers_are_shown_as_text_whatever_they_contain_and_no_arm_is_named(page: Page) -> None:
    seen = []
    for _ in PACK.items:
        seen.append(page.locator("main").inner_text())
        page.keyboard.press("ArrowRight")
    assert any(MARKUP in text for text in seen)
    assert any("（空白回答）" in text for text in seen)
    assert page.title() == f"Blind review {PACK.pack[:8]}"
    assert all(arm not in page.content() for arm in ("base", "tuned"))


def test_the_policy_stops_requests_and_foreign_scripts(page: Page) -> None:
    stopped = page.evaluate(
        """async () => {
            const stopped = [];
            document.addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "document.title = 'hit'";
            document.body.append(script);
            await fetch("http://127.0.0.1:9/").catch(() => null);
            for (let tries = 0; stopped.length < 2 && tries < 500; tries++) {
                await new Promise((resolve) => setTimeout(resolve, 10));
            }
            return stopped;
        }"""
    )
    assert sorted(stopped) == ["connect-src", "script-src-elem"]
    assert page.title() != "hit"


def test_an_export_without_a_reviewer_asks_for_one(page: Page) -> None:
    page.get_by_role("button", name="导出").click()
    expect(page.locator("#note")).to_have_text("请先填写评审人，再导出。")
    expect(page.locator("#reviewer")).to_be_focused()


def test_the_page_speaks_english_and_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Export")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    left, right = page.locator("#left").bounding_box(), page.locator("#right").bounding_box()
    assert left and right and right["y"] > left["y"] + left["height"]


def test_a_phone_is_touched_and_shows_the_guess_once_the_verdict_is_given(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "review.html").write_text(render_page(PACK), encoding="utf-8")
    with browser.new_context(viewport={"width": 390, "height": 640}, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        page.goto((tmp_path / "review.html").as_uri())
        for _ in PACK.items:
            page.get_by_role("button", name="不相上下").tap()
        guess, footer = page.locator("#guess").bounding_box(), page.locator("footer").bounding_box()
        assert guess and footer and guess["y"] + guess["height"] <= footer["y"]
        page.get_by_role("button", name="说不准").tap()
        expect(page.locator("#count")).to_have_text("已评 4/4")
