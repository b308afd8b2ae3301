"""Reviews of earlier answers, before and after `medcot prune`."""

import json

import pytest
from medcot_pipeline.stages import Workspace, review_files

from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity, Manifest
from medcot_pipeline.evaluation.people.joined import HumanOutcome, join_reviews
from medcot_pipeline.evaluation.people.pack import build_pack, build_second_look
from medcot_pipeline.evaluation.people.shown_packs import packs_shown
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_model, write_model
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.review_pack import ANSWERS, PROMPTS, whole, written

PASSED = [CheckOutcome("pack_covers_answers", True, True, "")]


@pytest.fixture
def reviewed(fresh_home: Home) -> Home:
    """A home with the folder for reviews."""
    (fresh_home.data / "reviews").mkdir(parents=True)
    return fresh_home


def store(home: Home) -> ArtifactStore:
    return ArtifactStore(home.data, ROOT)


def judge(home: Home, salt: str) -> Key:
    """Publish judgements with a pack of their own, which become current; the pack's key."""
    pack, key = build_pack(PROMPTS, ANSWERS, salt, 4)
    with store(home).publish(Identity("judgements", "1", {"salt": salt}, {}, {}), {}, lambda folder: PASSED) as made:
        write_model(made.path / "pack.json", pack)
        write_model(made.path / "key.json", key)
    return key


def open_second_look(home: Home, salt: str) -> Key:
    """Publish a human review that opens a second look; its key."""
    pack, key = build_pack(PROMPTS, ANSWERS, salt, 4)
    second, second_key = build_second_look(pack, key, {PROMPTS[0].id}, "王医生")
    with store(home).publish(Identity("human_review", "1", {"salt": salt}, {}, {}), {}, lambda folder: PASSED) as made:
        write_model(made.path / "second-look-1" / "pack.json", second)
        write_model(made.path / "second-look-1" / "key.json", second_key)
    return second_key


def prune(home: Home) -> str:
    done = home.run("medcot", "prune", "--yes")
    assert done.returncode == 0, done.stderr
    return done.stdout


def join(home: Home) -> HumanOutcome:
    """What the next pass makes of the saved reviews."""
    current, settings = home.data / "current" / "judgements", Settings()
    shown = packs_shown(Workspace("tiny", settings, ROOT, store(home)))
    files = review_files(settings, home.data)
    return join_reviews(
        files, read_model(current / "pack.json", Pack), read_model(current / "key.json", Key), {}, shown
    )


def current(home: Home, asset: str) -> Manifest:
    manifest = store(home).current(asset)
    assert manifest
    return manifest


def test_pruning_keeps_what_a_saved_review_can_be_joined_with_and_the_review_is_passed_over(reviewed: Home) -> None:
    key = judge(reviewed, "earlier")
    earlier = current(reviewed, "judgements")
    saved = written(reviewed.data / "reviews", whole(key, "tuned"))
    judge(reviewed, "between")
    judge(reviewed, "now")
    assert prune(reviewed).count("deleted artifacts/judgements/") == 1
    assert join(reviewed).passed_over == [saved]
    assert store(reviewed).find("judgements", earlier.fingerprint) == earlier
    judge(reviewed, "earlier")
    assert [each.reviewer for each in join(reviewed).record.reviewers] == ["王医生"], "the work is not lost"


def test_a_review_of_a_page_that_was_pruned_before_it_was_saved_is_passed_over(reviewed: Home) -> None:
    key, second = judge(reviewed, "earlier"), open_second_look(reviewed, "earlier")
    judge(reviewed, "now")
    open_second_look(reviewed, "now")
    assert prune(reviewed).count("deleted artifacts/") == 2
    prune(reviewed)
    folder = reviewed.data / "reviews"
    late = [written(folder, whole(key, "tuned"), "a.json"), written(folder, whole(second, "base"), "b.json")]
    assert join(reviewed).passed_over == late
    written(folder, whole(key.model_copy(update={"pack": "0" * 64}), "tuned"), "unknown.json")
    with pytest.raises(MedcotError, match=r"unknown\.json: reviews pack 00000000, but this run's are"):
        join(reviewed)


def test_pruning_keeps_a_second_look_that_was_answered(reviewed: Home) -> None:
    judge(reviewed, "now")
    second = open_second_look(reviewed, "earlier")
    saved = written(reviewed.data / "reviews", whole(second, "base"))
    earlier = current(reviewed, "human_review")
    open_second_look(reviewed, "now")
    assert "Nothing to delete." in prune(reviewed)
    assert store(reviewed).find("human_review", earlier.fingerprint) == earlier
    assert join(reviewed).passed_over == [saved]


def test_while_a_file_is_no_review_nothing_is_pruned(reviewed: Home) -> None:
    judge(reviewed, "earlier")
    judge(reviewed, "now")
    (reviewed.data / "reviews" / "torn.json").write_text('{"pack": "')
    done = reviewed.run("medcot", "prune", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "torn.json: not JSON" in done.stderr
    assert len(list(reviewed.data.glob("artifacts/judgements/*"))) == 2


def test_half_written_judgements_of_another_pass_are_no_pack(reviewed: Home) -> None:
    judge(reviewed, "now")
    half = reviewed.data / "artifacts" / "judgements" / ".staging-1"
    half.mkdir()
    (half / "key.json").write_text(json.dumps({})[:1])
    assert join(reviewed).passed_over == []
