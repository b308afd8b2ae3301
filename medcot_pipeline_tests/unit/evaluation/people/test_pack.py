import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.people.joined import join_reviews, two_looks
from medcot_pipeline.evaluation.people.pack import (
    LEAST_AGREEMENTS,
    agreements_to_show,
    build_pack,
    build_second_look,
    render_page,
)
from medcot_pipeline.evaluation.people.review_file import file_name, join_review, load_review, merge, seal
from medcot_pipeline.records.review import Guesses, Pack
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.review_pack import ANSWERS, KEY, ONE, PACK, PROMPTS, answer, review, whole, written

HOSTILE = "</script><script>document.title='x'</script><!-- <script> <think>想</think> \u2028 & \" '"
JUDGE = {prompt.id: Verdict(prompt.id, "tuned") for prompt in PROMPTS}


def test_the_pack_names_neither_arm_nor_prompt_nor_reasoning() -> None:
    text = PACK.model_dump_json()
    assert set(PACK.items[0].model_dump()) == {"item", "prompt", "language", "left", "right", "guess"}
    assert all(word not in text for word in ("base", "tuned", "zh-", "思考过程"))


def test_the_page_names_no_arm_and_asks_for_nothing_from_elsewhere() -> None:
    page = render_page(PACK)
    assert all(word not in page for word in ("base", "tuned", "http:", "https:", "src=", "connect-src"))
    assert "default-src 'none'" in page
    assert "innerHTML" not in page


def test_the_key_gives_each_side_back_to_the_arm_that_wrote_it() -> None:
    texts = {(each.prompt_id, each.arm): each.answer for each in ANSWERS}
    for item in PACK.items:
        side = KEY.sides[str(item.item)]
        assert item.left == texts[side.prompt_id, side.left]
        assert item.right == texts[side.prompt_id, side.right]
        assert {side.left, side.right} == {"base", "tuned"}
    assert KEY.pack == PACK.pack


def test_order_and_sides_are_stable_mixed_and_depend_on_the_salt() -> None:
    assert build_pack(PROMPTS[::-1], ANSWERS[::-1], "salt", 4) == (PACK, KEY)
    other, _ = build_pack(PROMPTS, ANSWERS, "another salt", 4)
    assert other.pack != PACK.pack
    order = [side.prompt_id for side in KEY.sides.values()][:20]
    assert sorted(order) == sorted(prompt.id for prompt in PROMPTS)
    assert order != [prompt.id for prompt in PROMPTS]
    assert 4 <= [side.left for side in KEY.sides.values()][:20].count("base") <= 16


def test_the_last_items_repeat_some_of_the_first_half_with_sides_swapped_and_ask_for_a_guess() -> None:
    sides = list(KEY.sides.values())
    first = {side.prompt_id: side for side in sides[:10]}
    assert [side.repeat for side in sides] == [False] * 20 + [True] * 4 == [item.guess for item in PACK.items]
    for side in sides[20:]:
        assert (side.left, side.right) == (first[side.prompt_id].right, first[side.prompt_id].left)


@pytest.mark.parametrize(("prompts", "repeats", "items"), [(1, 10, 1), (2, 10, 3), (20, 0, 20), (20, 10, 30)])
def test_at_most_half_of_the_prompts_are_repeated(prompts: int, repeats: int, items: int) -> None:
    assert len(build_pack(PROMPTS[:prompts], ANSWERS, "salt", repeats)[0].items) == items


def test_markup_in_an_answer_stays_text_in_the_page() -> None:
    pack, _ = build_pack(PROMPTS[:1], [answer("zh-0", "base", HOSTILE), answer("zh-0", "tuned", "好")], "salt", 0)
    page = render_page(pack)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<think>" not in page
    data = page.split('id="pack">')[1].split("</script>")[0]
    assert Pack.model_validate_json(data) == pack


def test_a_review_is_joined_to_arms_with_missing_items_counted(tmp_path: Path) -> None:
    path = written(tmp_path, review())
    read = join_review(load_review(path), [KEY], path)
    first, second = KEY.sides["1"], KEY.sides["2"]
    assert [(verdict.prompt_id, verdict.outcome, verdict.reason) for verdict in read.verdicts] == [
        (first.prompt_id, first.left, "更清楚"),
        (second.prompt_id, "tie", ""),
    ]
    assert (read.reviewer, read.qualification, read.look, read.missing) == ("王医生", "主治", 1, 22)
    assert (read.unsafe.of(first.right), read.unsafe.of(first.left)) == ((first.prompt_id,), ())
    assert read.seconds == pytest.approx(1.7)


def test_repeats_are_no_further_verdicts_and_guesses_are_held_against_the_key() -> None:
    content = whole(KEY, "tuned")
    for entry, guess in zip(content["verdicts"][20:], ("left", "left", "right", "unknown"), strict=True):
        entry["guess"] = guess
    content["verdicts"][23]["choice"] = "tie"
    read = join_review(seal(content), [KEY], Path("r.json"))
    assert len(read.verdicts) == 20
    assert sorted(read.repeated) == [("tuned", "tie")] + [("tuned", "tuned")] * 3
    said = [KEY.sides[str(item)].arm(side) for item, side in ((21, "left"), (22, "left"), (23, "right"))]
    assert read.guesses == Guesses(right=said.count("tuned"), wrong=said.count("base"), unknown=1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (review(pack="0" * 64), f"reviews pack 00000000, but this run's are {PACK.pack[:8]}"),
        (review(verdicts=[ONE, ONE]), "item 1: it has two verdicts"),
        (review(verdicts=[{**ONE, "item": 25}]), "verdict 1: item 25 is not in the pack. Items are 1 to 24"),
        (review(verdicts=[{**ONE, "item": True}]), "verdict 1: no item number"),
        (review(verdicts=["left"]), "verdict 1: no item number"),
        (review(verdicts=[{**ONE, "choice": "base"}]), "item 1: choice is 'base'. It is left, right or tie"),
        (review(verdicts=[{**ONE, "guess": "me"}]), "item 1: guess is 'me'. It is left, right or unknown"),
        (review(verdicts=[{**ONE, "unsafe": ["both"]}]), "item 1: unsafe is ['both']. It lists left or right"),
        (review(verdicts=[{**ONE, "comment": None}]), "item 1: comment is None"),
        (review(verdicts=[{**ONE, "ms": -1}]), "item 1: ms is -1"),
        (review(verdicts={}), 'no field "verdicts" of kind list'),
        (review(reviewer=" "), "reviewer is empty"),
        ({**review(), "reviewer": "李医生"}, "changed after it was saved"),
        ([], 'no field "pack" of kind str'),
    ],
)
def test_a_review_that_does_not_fit_is_refused_by_file_and_item(tmp_path: Path, content: Any, complaint: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(MedcotError) as raised:
        join_reviews([path], PACK, KEY, {})
    assert str(raised.value).startswith(str(path))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)
    assert json.loads(path.read_text()) == content, "the file stays as it is"


def test_a_file_that_is_missing_or_no_json_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match=r"gone\.json: no such review"):
        load_review(tmp_path / "gone.json")
    (tmp_path / "half.json").write_bytes(b'{"pack": "\xe4')
    with pytest.raises(MedcotError, match=r"half\.json: not JSON"):
        load_review(tmp_path / "half.json")
    (tmp_path / "deep.json").write_bytes(b"[" * 100_000)
    with pytest.raises(MedcotError, match=r"deep\.json: nested too deeply"):
        load_review(tmp_path / "deep.json")


def test_two_reviewers_count_apart(tmp_path: Path) -> None:
    first = written(tmp_path, whole(KEY, "tuned"), "a.json")
    second = written(tmp_path, whole(KEY, "base", "李医生"), "b.json")
    joined = join_reviews([first, second], PACK, KEY, {}).record
    assert [len(each.verdicts) for each in joined.reviewers] == [20, 20]


def test_two_files_of_one_reviewer_are_one_review(tmp_path: Path) -> None:
    all_items = whole(KEY, "tuned")["verdicts"]
    files = [
        written(tmp_path, review(verdicts=all_items[:15]), "served.json"),
        written(tmp_path, review(verdicts=all_items[10:]), "exported.json"),
    ]
    expected = join_reviews([written(tmp_path, review(verdicts=all_items))], PACK, KEY, {}).record
    assert join_reviews(files, PACK, KEY, {}).record == expected


@pytest.mark.parametrize("changed", [{"choice": "tie"}, {"guess": "unknown"}])
def test_two_files_of_one_reviewer_that_contradict_each_other_are_refused_by_item(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    first = written(tmp_path, review(verdicts=[{**ONE, "guess": "left"}]), "a.json")
    second = written(tmp_path, review(verdicts=[{**ONE, "guess": "left", **changed}]), "b.json")
    with pytest.raises(
        MedcotError, match=r"b\.json: 王医生 judged item 1 differently in a\.json\. Keep one of the two"
    ):
        join_reviews([first, second], PACK, KEY, {})


def test_a_review_of_earlier_answers_is_passed_over_and_one_of_an_unknown_pack_is_refused(tmp_path: Path) -> None:
    now = written(tmp_path, whole(KEY, "tuned"), "now.json")
    before = written(tmp_path, whole(KEY.model_copy(update={"pack": "e" * 64}), "base"), "before.json")
    joined = join_reviews([before, now], PACK, KEY, {}, earlier={"e" * 64, KEY.pack})
    assert joined.passed_over == [before]
    assert joined.record == join_reviews([now], PACK, KEY, {}).record
    with pytest.raises(MedcotError, match=r"before\.json: reviews pack eeeeeeee, but this run's are"):
        join_reviews([before, now], PACK, KEY, {})


def test_a_second_look_that_an_earlier_pass_opened_still_counts(tmp_path: Path) -> None:
    first = written(tmp_path, whole(KEY, "base"), "first.json")
    ((_, key),) = join_reviews([first], PACK, KEY, JUDGE).second_looks
    second = written(tmp_path, whole(key, "tuned"), "second.json")
    joined = join_reviews([first, second], PACK, KEY, JUDGE, earlier={KEY.pack, key.pack})
    assert joined.passed_over == []
    look = joined.record.reviewers[0].second_look
    assert look and look.verdicts


def test_without_files_there_is_no_review_yet() -> None:
    assert join_reviews([], PACK, KEY, JUDGE).record.model_dump(mode="json") == {
        "status": "none yet",
        "reviewers": [],
        "unsafe": {"base": [], "tuned": []},
    }


def test_disputed_prompts_come_back_blind_among_a_sample_of_the_others_and_both_looks_stand_side_by_side(
    tmp_path: Path,
) -> None:
    disputed = {"zh-3": "base", "zh-7": "tie", "zh-11": "base", "zh-15": "tie"}
    first = written(tmp_path, whole(KEY, "tuned", **disputed), "first.json")
    opened = join_reviews([first], PACK, KEY, JUDGE)
    ((pack, key),) = opened.second_looks
    shown = {side.prompt_id for side in key.sides.values()}
    assert shown > set(disputed) and len(shown) == len(key.sides) == 4 + LEAST_AGREEMENTS
    assert (pack.reviewer, pack.look, pack.items[0].guess) == ("王医生", 2, False)
    assert two_looks(opened.record, JUDGE) == ([], 14), "nothing is adjudicated before all is looked at again"
    second = written(tmp_path, whole(key, "base", **{"zh-7": "tuned"}), "second.json")
    done = join_reviews([second, first], PACK, KEY, JUDGE)
    ((looks,), still_open) = two_looks(done.record, JUDGE)
    assert (still_open, looks.disputed) == (0, frozenset(disputed))
    assert (len(looks.first), set(looks.second), set(looks.sample)) == (20, shown, shown - set(disputed))
    assert (looks.first["zh-3"], looks.second["zh-7"], looks.second["zh-15"]) == ("base", "tuned", "base")


@pytest.mark.parametrize(("disputes", "sample"), [(1, 10), (4, 10), (12, 8), (19, 1), (20, 0)])
def test_as_many_agreements_as_disputes_are_shown_again_at_least_ten_where_there_are(
    disputes: int, sample: int
) -> None:
    ids = [prompt.id for prompt in PROMPTS]
    _, key = build_second_look(PACK, KEY, ids[:disputes], ids[disputes:], "王医生")
    assert len(key.sides) == disputes + sample


def test_many_disputes_have_an_equal_sample_of_agreements_that_the_salt_draws() -> None:
    agreed = [f"p{number}" for number in range(60)]
    drawn = agreements_to_show(agreed, 25, "salt")
    assert len(set(drawn)) == 25 and drawn == agreements_to_show(agreed[::-1], 25, "salt")
    assert set(drawn) != set(agreements_to_show(agreed, 25, "another salt"))


def test_nothing_in_a_second_look_tells_disputes_from_agreements() -> None:
    ids = [prompt.id for prompt in PROMPTS]
    pack, key = build_second_look(PACK, KEY, ids[:10], ids[10:], "王医生")
    order = [side.prompt_id in ids[:10] for side in key.sides.values()]
    assert sorted(order[:10]) != [False] * 10 and sorted(order[:10]) != [True] * 10, "they are mixed"
    assert {frozenset(item.model_dump()) for item in pack.items} == {frozenset(PACK.items[0].model_dump())}
    assert not any(item.guess for item in pack.items)
    page = render_page(pack)
    assert "differs from yours" in page and "they are mixed and not marked" in page
    assert all(word not in page.lower() for word in ("disputed", "agreement", "judge's"))


def test_a_second_look_of_an_earlier_release_which_showed_disputes_alone_is_passed_over(tmp_path: Path) -> None:
    disputed = {"zh-3": "base", "zh-7": "tie"}
    first = written(tmp_path, whole(KEY, "tuned", **disputed), "first.json")
    _, former = build_second_look(PACK, KEY, disputed, (), "王医生")
    assert former.pack == "ade988b857e567e3a2f85f8002016a766a066b18cbc90789fc50e5b48bdd1208", "as that release named it"
    before = written(tmp_path, whole(former, "base"), "before.json")
    joined = join_reviews([before, first], PACK, KEY, JUDGE, earlier={KEY.pack, former.pack})
    assert (joined.without_agreements, joined.passed_over) == ([before], [])
    look = joined.record.reviewers[0].second_look
    assert look and (look.items, look.verdicts) == (12, ())


def test_where_everything_was_disputed_a_second_look_of_an_earlier_release_counts(tmp_path: Path) -> None:
    first = written(tmp_path, whole(KEY, "base"), "first.json")
    _, former = build_second_look(PACK, KEY, [prompt.id for prompt in PROMPTS], (), "王医生")
    second = written(tmp_path, whole(former, "tuned"), "second.json")
    joined = join_reviews([second, first], PACK, KEY, JUDGE)
    look = joined.record.reviewers[0].second_look
    assert joined.without_agreements == [] and look and len(look.verdicts) == 20


def test_the_pack_of_the_first_look_has_the_name_that_earlier_releases_gave_it() -> None:
    assert PACK.pack == "93202d8f1cc6ebde1ddd0392c4e0e70fdd0da6013cc29b45e8fdc512ea902007"


def test_sides_of_a_second_look_do_not_follow_the_first() -> None:
    _, key = build_second_look(PACK, KEY, {prompt.id for prompt in PROMPTS}, (), "王医生")
    first = {side.prompt_id: side.left for side in list(KEY.sides.values())[:20]}
    same = [side.left == first[side.prompt_id] for side in key.sides.values()]
    assert 4 <= same.count(True) <= 16


def test_a_judge_that_wavers_or_is_invalid_disputes_no_tie(tmp_path: Path) -> None:
    judge = JUDGE | {"zh-1": Verdict("zh-1", "inconsistent"), "zh-2": Verdict("zh-2", "invalid")}
    first = written(tmp_path, whole(KEY, "tuned", **{"zh-1": "tie", "zh-2": "base"}))
    opened = join_reviews([first], PACK, KEY, judge)
    assert opened.second_looks == []
    ((looks,), _) = two_looks(opened.record, judge)
    assert len(looks.first) == 19, "a prompt without a valid verdict is not adjudicated"


def test_half_a_first_look_opens_no_second(tmp_path: Path) -> None:
    assert join_reviews([written(tmp_path, review())], PACK, KEY, JUDGE).second_looks == []


def test_a_second_look_by_somebody_else_is_refused(tmp_path: Path) -> None:
    first = written(tmp_path, whole(KEY, "base"), "first.json")
    ((_, key),) = join_reviews([first], PACK, KEY, JUDGE).second_looks
    second = written(tmp_path, whole(key, "base", "李医生"), "second.json")
    with pytest.raises(MedcotError, match=r"second\.json: 李医生 answered the second look of 王医生"):
        join_reviews([first, second], PACK, KEY, JUDGE)


def test_merging_keeps_what_only_the_saved_review_holds() -> None:
    saved, new = review(), review(verdicts=[{**ONE, "choice": "right"}, {**ONE, "item": 5}])
    merged = merge(saved, new)
    assert [(entry["item"], entry["choice"]) for entry in merged["verdicts"]] == [(1, "right"), (2, "tie"), (5, "left")]
    assert join_review(merged, [KEY], Path("r.json")).missing == 21


def test_a_file_name_holds_no_path() -> None:
    name = file_name(review(reviewer="../王 医生/x"), "0123456789abcdef")
    assert name == f"review-..-王-医生-x-{PACK.pack[:8]}-0123456789abcdef.json"
