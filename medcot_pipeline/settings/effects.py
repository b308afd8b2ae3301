"""Settings that do nothing unless another one is set: refused, since whoever sets one expects that it does something.

Belongs here: which those are, and what is said.
Does not: values that cannot be used (models.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from medcot_pipeline.settings.models import Settings, setting_fields, variable_of
from medcot_pipeline.support.errors import MedcotError


@dataclass(frozen=True)
class Switch:
    """Settings, or whole sections, that have an effect only while another setting has one of some values.

    Without values it is to be set to anything, such as a folder; the switch itself may stand in its own section.
    """

    name: str
    values: tuple[Any, ...]
    settings: tuple[str, ...]

    def is_on(self, settings: Settings) -> bool:
        """Whether they have an effect."""
        value = value_of(settings, self.name)
        return value in self.values if self.values else not _is_nothing(value)

    def governs(self, name: str) -> bool:
        """Whether a setting is one of them."""
        return name != self.name and any(name == each or name.startswith(f"{each}.") for each in self.settings)


SWITCHES = (
    Switch("source.kind", ("file",), ("source.path",)),
    Switch("source.kind", ("hub",), ("source.repository", "source.config", "source.revision", "source.follow_hub")),
    Switch(
        "dedup.near_duplicates",
        (True,),
        (
            "dedup.jaccard",
            "dedup.edit_similarity",
            "dedup.max_changed_span",
            "dedup.swaps",
            "dedup.ignored_swaps",
            "dedup.group_jaccard",
            "dedup.group_cosine",
            "dedup.review_cosine",
        ),
    ),
    Switch("dedup.paraphrases", (True,), ("dedup.group_cosine", "dedup.review_cosine")),
    Switch(
        "splits.benchmark_dir",
        (),
        ("splits.benchmark_question_field", "splits.benchmark_fields", "splits.drop_confirmed_from_train"),
    ),
    Switch("base_model.kind", ("path",), ("base_model.path",)),
    Switch("base_model.kind", ("hub",), ("base_model.repository", "base_model.revision")),
    Switch(
        "base_model.kind", ("tiny_random",), ("base_model.tiny_hidden", "base_model.tiny_layers", "base_model.seed")
    ),
    Switch("training.checkpoint_steps", (None,), ("training.checkpoint_share",)),
    Switch("answers.backend", ("endpoint",), ("answers.endpoint",)),
    Switch("answers.backend", ("model",), ("answers.batch_size",)),
    Switch("exams.folder", (), ("exams",)),
    Switch("judge.base_url", (), ("judge", "report.judge_prompt_price", "report.judge_completion_price")),
    Switch("tracking.wandb_mode", ("offline", "online"), ("tracking.wandb_project",)),
)


def refuse_without_effect(
    settings: Settings, profile: str, in_profile: set[str], environment: Mapping[str, str]
) -> None:
    """Refuse the first setting that was given and does nothing.

    What the profile gives counts where it gives the switch too: the environment may switch off what a profile is made
    for.

    Args:
        settings: as they came out of both.
        profile: its name.
        in_profile: names of the settings that it gives.
        environment: the variables.

    Raises:
        MedcotError: a setting without effect; both settings are named.
    """
    given = {name for name in environment if environment[name]}
    variables = {name: {each for each in given if each.upper() == variable_of(name)} for name in _names()}
    for switch in SWITCHES:
        if switch.is_on(settings):
            continue
        for name in filter(switch.governs, _names()):
            counts = name in in_profile and not variables[switch.name]
            if (variables[name] or counts) and not _is_nothing(value_of(settings, name)):
                where = ", ".join(sorted(variables[name])) or f"profile {profile}"
                raise MedcotError(
                    f"Setting {name} has no effect while {switch.name} is {_shown(value_of(settings, switch.name))} "
                    f"(from {where}).",
                    f"Leave it out, or {_way_out(switch)}.",
                )


def value_of(settings: Settings, name: str) -> Any:
    """The value of a setting by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _names() -> Iterator[str]:
    return (name for name, _ in setting_fields(Settings))


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, SecretStr) and not value.get_secret_value())


def _shown(value: Any) -> str:
    return "not set" if _is_nothing(value) else str(value).lower() if isinstance(value, bool) else str(value)


def _way_out(switch: Switch) -> str:
    variable = variable_of(switch.name)
    if not switch.values:
        return f"set {variable}"
    if switch.values == (None,):
        return f"leave {switch.name} out"
    return f"set {variable}={' or '.join(str(value).lower() for value in switch.values)}"
