"""The table of changes against what runs again: every setting, every file from outside, every code version.

A field of the settings that is not in the table fails the first test. Settings are held against the fingerprints that
they enter; files and code versions against what a pass over published artifacts makes anew. Real passes are tried in
integration/test_what_runs_again.py.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings, recorded
from medcot_pipeline.support.errors import MedcotError, Unreadable
from medcot_pipeline.table import GRAPH, STAGES
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.other_values import another

ALL = list(GRAPH.assets)
NOTHING: tuple[str, ...] = ()
PERPLEXITY = ("base_perplexity", "tuned_perplexity")
ANSWERS = ("base_answers", "tuned_answers")
EXAMS = ("base_exams", "tuned_exams")
URL = "http://127.0.0.1:9/v1"

SETTINGS: dict[str, tuple[str, ...]] = {
    "source.kind": ("raw_medical_o1",),
    "source.path": NOTHING,  # what is in the file counts, not where it lies
    "source.repository": ("raw_medical_o1",),
    "source.config": ("raw_medical_o1",),
    "source.revision": ("raw_medical_o1",),
    "source.fields": ("raw_medical_o1",),
    "source.max_reject_rate": ("raw_medical_o1",),
    "source.max_rows": ("raw_medical_o1",),
    "source.incoming": NOTHING,
    "source.follow_hub": ("raw_medical_o1",),  # where a revision was noted, which is a file
    "normalize": ("normalized_corpus",),
    "dedup": ("deduplicated_corpus",),
    "splits": ("corpus_splits",),
    "splits.benchmark_dir": NOTHING,
    "sft": ("sft_dataset", "qlora_adapter"),
    "base_model.kind": ("base_model",),
    "base_model.repository": ("base_model",),
    "base_model.revision": ("base_model",),
    "base_model.path": NOTHING,
    "base_model.tiny_hidden": ("base_model",),
    "base_model.tiny_layers": ("base_model",),
    "base_model.seed": ("base_model",),
    "training": ("qlora_adapter",),
    "training.max_gpu_memory_gb": NOTHING,
    "training.micro_batch_tokens": NOTHING,
    "training.checkpointing": NOTHING,
    "inference": NOTHING,  # what it changes of the numbers is in made_with.json
    "compute": NOTHING,
    "perplexity": PERPLEXITY,
    "perplexity.bootstrap_resamples": NOTHING,
    "perplexity.train_rows": ("tuned_perplexity",),  # an adapter's own rows
    "perplexity.seed": ("tuned_perplexity",),  # of the draw of these rows
    "perplexity.batch_size": NOTHING,
    "perplexity.general_texts": NOTHING,
    "exams": EXAMS,
    "exams.folder": NOTHING,
    "exams.batch_size": NOTHING,
    "answers": ANSWERS,
    "answers.backend": (*ANSWERS, "model_answers"),
    "answers.batch_size": NOTHING,
    "answers.prompts": NOTHING,
    "answers.vignettes": NOTHING,
    "answers.emergencies": NOTHING,
    "answers.general": NOTHING,
    "answers.endpoint.base_url": ANSWERS,
    "answers.endpoint.base_model": ("base_answers",),
    "answers.endpoint.tuned_model": ("tuned_answers",),
    "answers.endpoint.api_key": NOTHING,
    "answers.endpoint.concurrency": NOTHING,
    "answers.endpoint.timeout_s": NOTHING,
    "answers.endpoint.max_retries": NOTHING,
    "judge": ("judgements", "rubric_grades"),
    "judge.api_key": NOTHING,
    "judge.concurrency": NOTHING,
    "judge.timeout_s": NOTHING,
    "judge.max_retries": NOTHING,
    "rubrics": ("rubric_grades",),
    "rubrics.file": NOTHING,
    **dict.fromkeys(("judge.second.base_url", "judge.second.model"), ("judgements",)),
    **dict.fromkeys(("judge.second.family", "judge.second.max_tokens"), ("judgements",)),
    "judge.second.api_key": NOTHING,
    "judge.second.concurrency": NOTHING,
    "judge.second.timeout_s": NOTHING,
    "judge.second.max_retries": NOTHING,
    "review.folder": NOTHING,
    "review.salt": ("review_pack",),
    "review.repeats": ("review_pack",),
    "report": ("eval_report",),
    "promotion": ("eval_report",),
    "tracking": NOTHING,
    "automation": NOTHING,
}
"""Assets whose fingerprint a setting is part of, wherever it counts at all; a section stands for its other fields."""

ONLY_WHERE = {
    "source.repository": {"source": {"kind": "hub"}},
    "source.config": {"source": {"kind": "hub"}},
    "source.revision": {"source": {"kind": "hub"}},
    "source.follow_hub": {"source": {"kind": "hub"}},
    "base_model.repository": {"base_model": {"kind": "hub"}},
    "base_model.revision": {"base_model": {"kind": "hub"}},
    "base_model.tiny_hidden": {"base_model": {"kind": "tiny_random"}},
    "base_model.tiny_layers": {"base_model": {"kind": "tiny_random"}},
    "base_model.seed": {"base_model": {"kind": "tiny_random"}},
    "answers.endpoint.base_url": {"answers": {"backend": "endpoint"}},
    "answers.endpoint.base_model": {"answers": {"backend": "endpoint"}},
    "answers.endpoint.tuned_model": {"answers": {"backend": "endpoint"}},
}
"""The settings under which those count; under the others they change nothing."""

FILES: dict[str, tuple[str, ...]] = {
    "rows.json": ("raw_medical_o1",),
    "benchmarks/exam.jsonl": ("corpus_splits",),
    "benchmarks/cmb/exam.jsonl": ("corpus_splits",),
    "benchmarks/cmexam/test/exam.jsonl": ("corpus_splits",),
    "model/config.json": ("base_model",),
    "model/model.safetensors": ("base_model",),
    "passages.jsonl": PERPLEXITY,
    "exams/exam.jsonl": EXAMS,
    "prompts.jsonl": ANSWERS,
    "vignettes.jsonl": ANSWERS,
    "emergencies.jsonl": ANSWERS,
    "general.jsonl": ANSWERS,
    "rubrics.jsonl": ("rubric_grades",),
    "data/incoming/rows/more.jsonl": ("raw_medical_o1",),
    "data/reviews/wang.json": ("human_review",),
    "data/incoming/rows/batch.jsonl": ("raw_medical_o1",),
    "data/incoming/revision.json": NOTHING,  # the source is a file
}

NEW_FILES: dict[str, tuple[str, ...]] = {
    "benchmarks/another.jsonl": ("corpus_splits",),
    "benchmarks/cmb/another.csv": ("corpus_splits",),
    "benchmarks/README.md": NOTHING,
    "model/generation_config.json": ("base_model",),
    "model/README.md": NOTHING,
    "exams/another.jsonl": EXAMS,
    "data/incoming/rows/another.jsonl": ("raw_medical_o1",),
    "data/reviews/li.json": ("human_review",),
    "data/incoming/rows/another.csv": ("raw_medical_o1",),
    "data/incoming/rows/.half-copied.csv": NOTHING,
    "beside.txt": NOTHING,
}


def names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting that has a value of its own; a stage reads `source.fields` and `normalize.actions` as a whole."""
    for name, field in model.model_fields.items():
        section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        if section and (not prefix or name in ("endpoint", "second")):
            yield from names(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}"


EVERY = list(names(Settings))


def expected(name: str) -> tuple[str, ...]:
    """What the table says of a setting."""
    return SETTINGS[name] if name in SETTINGS else SETTINGS[name.partition(".")[0]]


def with_changed(workspace: Workspace, name: str) -> Workspace:
    """The same workspace, one setting other; what a place names has moved there."""
    section_name, *path = name.split(".")
    section = getattr(workspace.settings, section_name)
    inner = getattr(section, path[0])
    if len(path) == 2:
        field = type(inner).model_fields[path[1]]
        value = inner.model_copy(update={path[1]: another(field.annotation, getattr(inner, path[1]))})
    else:
        value = another(type(section).model_fields[path[0]].annotation, inner)
    assert value != inner
    if isinstance(value, Path):
        root = workspace.store.root if name in ("review.folder", "source.incoming") else workspace.root
        (root / value).parent.mkdir(parents=True, exist_ok=True)
        (root / inner).rename(root / value)
    sections = {section_name: section.model_copy(update={path[0]: value})}
    return dataclasses.replace(workspace, settings=workspace.settings.model_copy(update=sections))


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    """A project with every file that a stage can read, and nothing published."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"what stands in {name}")
    settings = Settings(
        source={"kind": "file", "path": "rows.json"},
        splits={"benchmark_dir": "benchmarks"},
        base_model={"kind": "path", "path": "model"},
        perplexity={"general_texts": "passages.jsonl"},
        exams={"folder": "exams"},
        answers={
            "prompts": "prompts.jsonl",
            "vignettes": "vignettes.jsonl",
            "emergencies": "emergencies.jsonl",
            "general": "general.jsonl",
        },
        judge={"base_url": URL, "model": "judge", "second": {"base_url": URL, "model": "another"}},
        rubrics={"file": "rubrics.jsonl"},
    )
    return Workspace("own", settings, tmp_path, ArtifactStore(tmp_path / "data", tmp_path), GRAPH)


@pytest.fixture
def published(project: Workspace) -> Workspace:
    """The same, with everything published."""
    run_again(project, "first")
    return project


def identities(workspace: Workspace) -> dict[str, str]:
    """Fingerprint of every asset over inputs whose content is the same whatever the settings are."""
    found = {}
    for stage in STAGES:
        inputs = {name: f"content of {name}" for name in stage.inputs}
        found[stage.asset] = stage.identity(workspace.settings, inputs, workspace.external(stage)).fingerprint
    return found


def run_again(workspace: Workspace, content: str | None) -> list[str]:
    """What a pass over everything makes anew; `content` is what comes out, the same as before where it is None."""
    made = []
    for stage in STAGES:
        identity = workspace.identity(stage, workspace.inputs(stage.asset))
        current = workspace.current(stage.asset)
        text = content or ((current.folder / "content").read_text() if current else "")
        if workspace.store.find(stage.asset, identity.fingerprint) is None:
            made.append(stage.asset)
        publish(workspace.store, identity, {"content": text})
    return made


def with_settings(workspace: Workspace, **sections: dict[str, Any]) -> Workspace:
    """The workspace under other settings."""
    values = {name: getattr(workspace.settings, name).model_copy(update=fields) for name, fields in sections.items()}
    return dataclasses.replace(workspace, settings=workspace.settings.model_copy(update=values))


def followed(assets: tuple[str, ...]) -> list[str]:
    """The assets and all that comes after them, in order."""
    return GRAPH.in_order(GRAPH.downstream(set(assets)))


def test_every_setting_is_in_the_table() -> None:
    missing = [name for name in EVERY if name not in SETTINGS and name.partition(".")[0] not in SETTINGS]
    assert missing == [], "say in SETTINGS which assets a new setting makes stale"
    known = {*EVERY, *(name.partition(".")[0] for name in EVERY)}
    assert [name for name in SETTINGS if name not in known] == [], "these settings are gone"


@pytest.mark.parametrize("name", EVERY)
def test_a_changed_setting_makes_its_stages_stale_and_no_other(project: Workspace, name: str) -> None:
    workspace = with_settings(project, **ONLY_WHERE.get(name, {}))
    before = identities(workspace)
    after = identities(with_changed(workspace, name))
    assert [asset for asset in ALL if after[asset] != before[asset]] == list(expected(name))


@pytest.mark.parametrize("name", ONLY_WHERE)
def test_a_setting_of_another_kind_of_source_makes_nothing_stale(project: Workspace, name: str) -> None:
    assert identities(with_changed(project, name)) == identities(project)


@pytest.mark.parametrize("name", ["source.max_rows", "splits.salt", "sft.max_tokens", "judge.model", "report.seed"])
def test_a_changed_setting_runs_again_its_stage_and_what_follows_other_content(published: Workspace, name: str) -> None:
    other = with_changed(published, name)
    assert run_again(other, None) == list(expected(name)), "the same content comes out: nothing after it runs"
    assert run_again(published, "never written") == [], "set back: what was made before is used again"
    again = with_changed(other, name)
    assert run_again(again, "other") == followed(expected(name))


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_runs_its_stage_again_and_what_follows_a_changed_content(
    published: Workspace, name: str
) -> None:
    (published.root / name).write_text("edited")
    assert run_again(published, None) == list(FILES[name])
    (published.root / name).write_text("edited again")
    assert run_again(published, "other") == followed(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_file_written_again_with_the_same_bytes_runs_nothing_again(published: Workspace, name: str) -> None:
    path = published.root / name
    text = path.read_text()
    path.unlink()
    path.write_text(text)
    os.utime(path, (1, 1))
    assert run_again(published, "never written") == []


@pytest.mark.parametrize("name", NEW_FILES)
def test_a_new_file_runs_the_stage_again_that_reads_its_folder(published: Workspace, name: str) -> None:
    (published.root / name).write_text("new")
    assert run_again(published, None) == list(NEW_FILES[name])


@pytest.mark.parametrize(
    "name", ["benchmarks", "benchmarks/cmb", "exams", "model", "data/reviews", "data/incoming/rows"]
)
def test_a_folder_that_cannot_be_read_for_the_moment_is_one_line_and_its_files_are_not_gone(
    published: Workspace, name: str
) -> None:
    folder = published.root / name
    folder.rename(published.root / "kept")
    folder.symlink_to(folder)
    with pytest.raises(Unreadable, match=f"^{folder}: cannot be read right now "):
        make_plan(published)
    folder.unlink()
    (published.root / "kept").rename(folder)
    assert {line.status for line in make_plan(published)} == {"fresh"}


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damage_in_any_artifact_is_named_set_aside_and_made_again_and_never_an_input(
    published: Workspace, damage: Callable[[Path], None]
) -> None:
    for stage in STAGES:
        damage(published.store.root / "current" / stage.asset / "content")
        for follower in [each.asset for each in STAGES if stage.asset in each.inputs]:
            with pytest.raises(MedcotError, match=f"{follower} needs {stage.asset}, which is not materialised"):
                published.inputs(follower)
        assert run_again(published, "first") == [stage.asset]
        (why,) = (published.store.root / "damaged" / stage.asset).glob("*/why.txt")
        assert why.read_text().startswith("content ")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_another_code_version_is_stale_in_its_stage_alone(published: Workspace, stage: Stage) -> None:
    raised = dataclasses.replace(stage, code_version=f"{stage.code_version}.1")
    graph = dataclasses.replace(GRAPH, stages=tuple(raised if each is stage else each for each in STAGES))
    lines = {line.asset: line for line in make_plan(dataclasses.replace(published, graph=graph))}
    assert [asset for asset, line in lines.items() if line.status == "stale"] == [stage.asset]
    assert lines[stage.asset].reasons == (f"code version {stage.code_version} -> {raised.code_version}",)
    waiting = [asset for asset, line in lines.items() if line.status == "waiting"]
    assert waiting == followed((stage.asset,))[1:]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_every_setting_that_a_stage_names_exists(stage: Stage) -> None:
    recorded(Settings(), *stage.settings)


@pytest.mark.parametrize(
    ("name", "untouched"),
    [
        ("exams.max_questions", {*PERPLEXITY, "perplexity_report", *ANSWERS, "model_answers"}),
        ("review.salt", {*ANSWERS, "model_answers", "judgements", "rubric_grades"}),
        ("rubrics.seed", {*ANSWERS, "model_answers", "judgements"}),
        ("training.learning_rate", {"base_perplexity", "base_answers", "base_exams"}),
        ("perplexity.seed", {"base_perplexity"}),
    ],
)
def test_a_change_measures_no_model_and_asks_no_judge_that_it_does_not_concern(
    published: Workspace, name: str, untouched: set[str]
) -> None:
    made = run_again(with_changed(published, name), "other")
    assert made == followed(expected(name))
    assert not untouched & set(made)
