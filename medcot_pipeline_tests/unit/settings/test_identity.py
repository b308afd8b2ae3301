"""What of the settings is part of an artifact's identity: every setting, under settings where it counts and not."""

from typing import Any

import pytest

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.settings import Settings, recorded, setting_fields
from medcot_pipeline.settings.section import BY_NAME, NOT_IDENTITY, Mark, OnlyFor, conditions, section_of, value_of
from medcot_pipeline_tests.support.other_values import another

FIELDS = dict(setting_fields(Settings))
CONDITIONS = list(conditions(Settings))
SERVER = "http://127.0.0.1:9/v1"
ENDPOINT = {"base_url": SERVER, "base_model": "base", "tuned_model": "tuned"}
EVERYTHING = (*Settings.model_fields, "answers.endpoint", "judge.second")
"""All sections, so that a setting that is recorded anywhere is recorded here."""

UNDER = {
    "defaults": Settings(),
    "everything off": Settings(
        dedup={"near_duplicates": False, "paraphrases": False},
        training={"checkpoint_steps": 5},
        tracking={"wandb_mode": "disabled"},
    ),
    "hub": Settings(source={"kind": "hub"}, base_model={"kind": "hub"}),
    "files": Settings(
        source={"kind": "file", "path": "rows.json"},
        splits={"benchmark_dir": "benchmarks"},
        base_model={"kind": "path", "path": "model"},
        exams={"folder": "exams"},
    ),
    "tiny": Settings(base_model={"kind": "tiny_random"}),
    "servers": Settings(
        answers={"backend": "endpoint", "endpoint": ENDPOINT},
        judge={"base_url": SERVER, "model": "judge", "second": {"base_url": SERVER, "model": "another"}},
    ),
}


def fingerprint(settings: Settings) -> str:
    return Identity("asset", "1", recorded(settings, *EVERYTHING), {}, {}).fingerprint


def changed(settings: Settings, name: str) -> Settings:
    """The same settings, one other; what holds it is not read anew, so that any value will do."""
    value: Any = another(FIELDS[name].annotation, value_of(settings, name))
    *around, last = name.split(".")
    while around:
        value = value_of(settings, ".".join(around)).model_copy(update={last: value})
        last = around.pop()
    return settings.model_copy(update={last: value})


def counts(settings: Settings, name: str) -> bool:
    """Whether a setting is part of an identity, by its marks."""
    has_effect = all(mark.still_recorded or mark.is_met(settings) for each, mark in CONDITIONS if each == name)
    return NOT_IDENTITY not in FIELDS[name].metadata and has_effect


def switches(settings: Settings, name: str) -> bool:
    """Whether another value of a setting makes others count, or count no more."""
    other = changed(settings, name)
    return any(
        mark.is_met(settings) != mark.is_met(other)
        for _, mark in CONDITIONS
        if mark.switch == name and not mark.still_recorded
    )


@pytest.mark.parametrize("under", UNDER)
def test_a_setting_changes_the_fingerprint_where_it_counts_and_nowhere_else(under: str) -> None:
    settings = UNDER[under]
    before = fingerprint(settings)
    changing = {name for name in FIELDS if fingerprint(changed(settings, name)) != before}
    assert changing == {name for name in FIELDS if counts(settings, name) or switches(settings, name)}


def test_every_setting_counts_somewhere_unless_it_is_marked() -> None:
    never = {name for name in FIELDS if not any(counts(settings, name) for settings in UNDER.values())}
    assert never == {name for name, field in FIELDS.items() if NOT_IDENTITY in field.metadata}


def test_where_a_file_lies_and_what_is_secret_is_no_part_of_an_identity() -> None:
    kinds = {name: str(field.annotation) for name, field in FIELDS.items()}
    either = {name for name, kind in kinds.items() if "Path" in kind or "SecretStr" in kind}
    assert len(either) == 16
    assert all(NOT_IDENTITY in FIELDS[name].metadata for name in either)


def test_a_section_that_is_recorded_as_one_value_holds_no_marks() -> None:
    """They would be passed over: a mark is read at the fields of a section that a stage names."""
    named = [section for field in Settings.model_fields.values() if (section := section_of(field))]
    fields = [field for section in named for field in section.model_fields.values() if BY_NAME not in field.metadata]
    whole = [inner for field in fields if (inner := section_of(field))]
    assert {inner.__name__ for inner in whole} == {"FieldNames", "NoiseActions"}
    marks = [mark for inner in whole for _, field in setting_fields(inner) for mark in field.metadata]
    assert not any(isinstance(mark, Mark | OnlyFor) for mark in marks)


def test_a_section_gives_its_fields_and_a_name_gives_one() -> None:
    found = recorded(Settings(), "source", "sft.max_tokens")
    assert found == {
        "source.kind": "sample",
        "source.fields": {"question": "Question", "reasoning": "Complex_CoT", "answer": "Response"},
        "source.max_reject_rate": 0.05,
        "source.max_rows": None,
        "sft.max_tokens": 2048,
    }


def test_nothing_named_is_nothing_recorded() -> None:
    assert recorded(Settings()) == {}


def test_what_is_recorded_by_name_is_no_part_of_its_section() -> None:
    settings = UNDER["servers"]
    assert not any("endpoint." in name for name in recorded(settings, "answers"))
    assert recorded(settings, "answers.endpoint.base_model") == {"answers.endpoint.base_model": "base"}
    assert recorded(settings, "answers.endpoint") == {
        f"answers.endpoint.{name}": text for name, text in ENDPOINT.items()
    }


@pytest.mark.parametrize("name", ["exams", "exams.seed", "answers.endpoint", "source.config", "base_model.tiny_layers"])
def test_what_has_no_effect_is_not_recorded_also_where_it_is_named(name: str) -> None:
    assert recorded(Settings(), name) == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("normalise", "no such setting or section (did you mean normalize?)"),
        ("sft.max_token", "no such setting or section (did you mean sft.max_tokens?)"),
        ("sft.max_tokens.more", "no such setting or section"),
        ("answers.endpoint.model", "no such setting or section (did you mean answers.endpoint.base_model?)"),
        ("training.max_gpu_memory_gb", "max_gpu_memory_gb is marked NOT_IDENTITY, so no stage can record it"),
    ],
)
def test_a_name_that_a_stage_cannot_record_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^setting {name}: ") as raised:
        recorded(Settings(), name)
    assert said in str(raised.value)
