"""Reviews of earlier answers, before and after `medcot prune`."""

import json

import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity, Manifest
from medcot_pipeline.evaluation.people.joined import HumanOutcome, join_reviews
from medcot_pipeline.evaluation.people.pack import build_pack, build_second_look
from medcot_pipeline.evaluation.people.review_file import review_files
from medcot_pipeline.evaluation.people.shown_packs import packs_shown
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_model
from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.review_pack import ANSWERS, PROMPTS, whole, written


@pytest.fixture
def reviewed(fresh_home: Home) -> Home:
    """A home with the folder for reviews."""
    (fresh_home.data / "reviews").mkdir(parents=True)
    return fresh_home


def store(home: Home) -> ArtifactStore:
    return ArtifactStore(home.data, ROOT)


def show(home: Home, salt: str, asset: str = "review_pack") -> Key:
    """Publish a pack, which becomes current; its key."""
    pack, key = build_pack(PROMPTS, ANSWERS, salt, 4)
    publish(store(home), Identity(asset, "1", {"salt": salt}, {}, {}), {"pack.json": pack, "key.json": key})
    return key


def open_second_look(home: Home, salt: str) -> Key:
    """Publish a human review that opens a second look; its key."""
    pack, key = build_pack(PROMPTS, ANSWERS, salt, 4)
    second, second_key = build_second_look(pack, key, {PROMPTS[0].id}, {PROMPTS[1].id}, "王医生")
    files = {"second-look-1/pack.json": second, "second-look-1/key.json": second_key}
    publish(store(home), Identity("human_review", "1", {"salt": salt}, {}, {}), files)
    return second_key


def prune(home: Home) -> str:
    done = home.run("medcot", "prune", "--yes")
    assert done.returncode == 0, done.stderr
    return done.stdout


def join(home: Home) -> HumanOutcome:
    """What the next pass makes of the saved reviews."""
    current, settings = home.data / "current" / "review_pack", Settings()
    shown = packs_shown(Workspace("tiny", settings, ROOT, store(home), GRAPH))
    files = review_files(settings, home.data)
    return join_reviews(
        files, read_model(current / "pack.json", Pack), read_model(current / "key.json", Key), {}, shown
    )


def current(home: Home, asset: str) -> Manifest:
    manifest = store(home).current(asset)
    assert manifest
    return manifest


def test_pruning_keeps_what_a_saved_review_can_be_joined_with_and_the_review_is_passed_over(reviewed: Home) -> None:
    key = show(reviewed, "earlier")
    earlier = current(reviewed, "review_pack")
    saved = written(reviewed.data / "reviews", whole(key, "tuned"))
    show(reviewed, "between")
    show(reviewed, "now")
    assert prune(reviewed).count("deleted artifacts/review_pack/") == 1
    assert join(reviewed).passed_over == [saved]
    assert store(reviewed).find("review_pack", earlier.fingerprint) == earlier
    show(reviewed, "earlier")
    assert [each.reviewer for each in join(reviewed).record.reviewers] == ["王医生"], "the work is not lost"


def test_a_review_of_a_page_that_was_pruned_before_it_was_saved_is_passed_over(reviewed: Home) -> None:
    key, second = show(reviewed, "earlier"), open_second_look(reviewed, "earlier")
    show(reviewed, "now")
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
    show(reviewed, "now")
    second = open_second_look(reviewed, "earlier")
    saved = written(reviewed.data / "reviews", whole(second, "base"))
    earlier = current(reviewed, "human_review")
    open_second_look(reviewed, "now")
    assert "Nothing to delete." in prune(reviewed)
    assert store(reviewed).find("human_review", earlier.fingerprint) == earlier
    assert join(reviewed).passed_over == [saved]


def test_while_a_file_is_no_review_nothing_is_pruned(reviewed: Home) -> None:
    show(reviewed, "earlier")
    show(reviewed, "now")
    (reviewed.data / "reviews" / "torn.json").write_text('{"pack": "')
    done = reviewed.run("medcot", "prune", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "torn.json: not JSON" in done.stderr
    assert len(list(reviewed.data.glob("artifacts/review_pack/*"))) == 2


def test_a_half_written_pack_of_another_pass_is_no_pack(reviewed: Home) -> None:
    show(reviewed, "now")
    half = reviewed.data / "artifacts" / "review_pack" / ".staging-1"
    half.mkdir()
    (half / "key.json").write_text(json.dumps({})[:1])
    assert join(reviewed).passed_over == []


def test_a_review_of_a_page_of_an_earlier_release_is_passed_over_and_pruning_keeps_what_it_belongs_to(
    reviewed: Home,
) -> None:
    """The judgements held the first pack then."""
    key = show(reviewed, "earlier", "judgements")
    earlier = current(reviewed, "judgements")
    show(reviewed, "between", "judgements")
    publish(store(reviewed), Identity("judgements", "2", {}, {}, {}), {"judge.json": {}})
    show(reviewed, "now")
    saved = written(reviewed.data / "reviews", whole(key, "tuned"))
    assert prune(reviewed).count("deleted artifacts/judgements/") == 1
    assert join(reviewed).passed_over == [saved]
    assert store(reviewed).find("judgements", earlier.fingerprint) == earlier
