"""Blind human review.

Belongs here: the stages of the review pack and of what reviewers sent back.
Does not belong here: the pack (pack.py), joining reviews (joined.py), serving the page (server.py).
"""

from pathlib import Path

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.people import checks
from medcot_pipeline.evaluation.people.joined import join_reviews
from medcot_pipeline.evaluation.people.pack import build_pack, render_page
from medcot_pipeline.evaluation.people.review_file import review_files
from medcot_pipeline.evaluation.people.shown_packs import packs_shown
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.judgement import read_judge
from medcot_pipeline.records.prompts import Prompt, of_set
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.support.json_files import read_model, write_model
from medcot_pipeline.support.table_files import read_jsonl

REVIEW = "review"
"""Kind of the verdict files that people save."""


def review_pack(run: Run) -> None:
    """The blind review page: prompts with both answers, sides and order shuffled; the key lies in a file of its own."""
    upstream, settings = run.input("model_answers"), run.settings.review
    prompts = of_set(read_jsonl(upstream / "prompts.jsonl", Prompt), "instructions")
    answers = read_jsonl(upstream / "answers.jsonl", Answer)
    pack, key = build_pack(prompts, answers, settings.salt, settings.repeats)
    _write_pack(run.path, pack, key)
    run.describe(review_items=len(pack.items), review_page=FileLink("review.html"))


def human_review(run: Run) -> None:
    """The verdicts that people saved on the review page, each joined with the model it prefers; or "none yet"."""
    shown, judge = run.input("review_pack"), run.input("judgements") / "judge.json"
    outcome = join_reviews(
        review_files(run.settings, run.place.data),
        read_model(shown / "pack.json", Pack),
        read_model(shown / "key.json", Key),
        {verdict.prompt_id: verdict for verdict in read_judge(judge).verdicts},
        packs_shown(run.place),
    )
    human = outcome.record
    write_model(run.path / "human.json", human)
    for pack, key in outcome.second_looks:
        _write_pack(run.path / f"second-look-{pack.pack[:8]}", pack, key)
    reviewers: list[dict[str, str | int | float | bool | None]] = [
        {
            "reviewer": each.reviewer,
            "verdicts": len(each.verdicts),
            "missing": each.missing,
            "second_look": each.second_look.items if each.second_look else 0,
            "second_look_done": len(each.second_look.verdicts) if each.second_look else 0,
        }
        for each in human.reviewers
    ]
    run.describe(status=human.status, reviewers=Table(reviewers), of_earlier_answers=len(outcome.passed_over))
    run.describe(people=len(human.reviewers), verdicts=sum(len(each.verdicts) for each in human.reviewers))
    for path in outcome.passed_over:
        run.say(f"{path.name} reviews earlier answers or disputes: passed over")
    for path in outcome.without_agreements:
        run.say(
            f"{path.name} is a second look of an earlier release, at disputed prompts alone: passed over, and "
            "`medcot review` shows the one that took its place"
        )
    for each in human.reviewers:
        if each.missing:
            run.say(f"{each.reviewer}: {each.missing:,} items have no verdict")


def _write_pack(folder: Path, pack: Pack, key: Key) -> None:
    """A pack with its page, and the key apart."""
    write_model(folder / "pack.json", pack)
    write_model(folder / "key.json", key)
    (folder / "review.html").write_text(render_page(pack), encoding="utf-8")


def reviews(place: Place) -> list[OutsideFile]:
    """The verdict files that people saved."""
    return [OutsideFile(REVIEW, path, path.name) for path in review_files(place.settings, place.data)]


STAGES = (
    Stage(
        "review_pack",
        group="evaluation",
        code_version="2",
        make=review_pack,
        checks=checks.REVIEW_PACK,
        inputs=("model_answers",),
        settings=("review",),
    ),
    Stage(
        "human_review",
        group="evaluation",
        code_version="5",
        make=human_review,
        checks=checks.HUMAN_REVIEW,
        inputs=("review_pack", "judgements"),  # a second look is at what the judge sees otherwise
        files=reviews,
    ),
)
