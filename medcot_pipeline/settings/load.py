"""Reading settings: a profile's YAML, then the environment over it.

Belongs here: finding the profile, refusing unknown names with the nearest known one, one-line errors for bad values.
Does not belong here: what the settings mean (rooms/).
"""

import os
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from medcot_pipeline.settings.effects import refuse_without_effect
from medcot_pipeline.settings.paths import FOLDERS_OF_LIBRARIES, expand, folder_of, refuse_other_than_utf8
from medcot_pipeline.settings.root import Settings
from medcot_pipeline.settings.section import PREFIX, setting_fields, variable_of
from medcot_pipeline.support.errors import MedcotError, nearest

OUTSIDE_SECTIONS = {"MEDCOT_PROFILE", "MEDCOT_DATA_DIR", "MEDCOT_LOG_FORMAT", "MEDCOT_REALDATA"}
DEFAULT_PROFILE = "demo"
SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
PROJECT_FILES = (
    "data/sample/medical_o1_sample.json",
    "data/prompts/instruction_following.jsonl",
    "data/prompts/vignettes.jsonl",
    "data/prompts/emergencies.jsonl",
    "data/prompts/general_instructions.jsonl",
    "data/prompts/rubrics.jsonl",
    "data/general/passages.jsonl",
)
"""Files of the checkout's data folder that are installed with the package."""


def project_root() -> Path:
    """The checkout that holds `pyproject.toml`, or the working directory for an installed package."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def project_file(path: Path, root: Path) -> Path:
    """The file that a setting names; one of `PROJECT_FILES` is the package's own where no such file lies there.

    Args:
        path: as set.
        root: folder that relative paths start from.
    """
    shipped = path.as_posix() in PROJECT_FILES and not (root / path).exists()
    return SHIPPED / path.name if shipped else root / path


def data_dir() -> Path:
    """Where artifacts live: `MEDCOT_DATA_DIR`, or `data/` in the project; absolute."""
    return folder_of("MEDCOT_DATA_DIR", "data", project_root())


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("medcot_pipeline.settings") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def profile_name(profile: str | None = None) -> str:
    """The profile in force: the one given, else `MEDCOT_PROFILE`, else `demo`."""
    return profile or os.environ.get("MEDCOT_PROFILE") or DEFAULT_PROFILE


def load_settings(profile: str | None = None) -> Settings:
    """Settings of a profile with the environment's overrides.

    Args:
        profile: a name of `profile_names()` or a path to a YAML file; `MEDCOT_PROFILE`, else `demo`, if not given.

    Raises:
        MedcotError: unknown profile, unknown setting, a value that cannot be used, or one without effect.
    """
    name = profile_name(profile)
    values = _read_profile(name)
    _refuse_unknown_variables(os.environ)
    for folder in FOLDERS_OF_LIBRARIES:
        if os.environ.get(folder) == "":
            del os.environ[folder]
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise MedcotError(_first_problem(error, name)) from error
    except SettingsError as error:
        section = str(error).partition('"')[2].partition('"')[0]
        raise MedcotError(
            f"Setting {section}: a value is not JSON (from {_variables(section) or name}).",
            'A list or a mapping is written as JSON, such as MEDCOT_DEDUP__SWAPS=\'[["a", "b"]]\'.',
        ) from error
    in_profile = set(_leaf_names(values, {known for known, _ in setting_fields(Settings)}))
    refuse_without_effect(settings, name, in_profile, os.environ)
    return settings


def _read_profile(name: str) -> dict[str, Any]:
    if name.endswith((".yaml", ".yml")):
        try:
            path = expand(name)
        except ValueError as error:
            raise MedcotError(f"MEDCOT_PROFILE={name}: {error}.", "Give a YAML file or a profile's name.") from error
        if not path.is_file():
            raise MedcotError(f"MEDCOT_PROFILE={name}: no such file.", "Give a YAML file or a profile's name.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise MedcotError(f"Profile {name} is not UTF-8 (offset {error.start:,}).", "Save it as UTF-8.") from error
    elif name in profile_names():
        text = (resources.files("medcot_pipeline.settings") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise MedcotError(
            f"MEDCOT_PROFILE={name}: no such profile{nearest(name, profile_names())}.",
            f"Profiles: {', '.join(profile_names())}, or a path to a .yaml file.",
        )
    try:
        values = yaml.load(text, Loader=_profile_loader(name)) or {}
    except yaml.YAMLError as error:
        raise MedcotError(f"Profile {name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise MedcotError(f"Profile {name} must be a mapping of sections, not {type(values).__name__}.")
    known = [name for name, _ in setting_fields(Settings)]
    for setting in _leaf_names(values, set(known)):
        if setting not in known:
            raise MedcotError(f"Profile {name}: unknown setting {setting}{nearest(setting, known)}.")
        if _is_secret(tuple(setting.split("."))):
            raise MedcotError(f"Profile {name}: {setting} is a secret.", f"Set {variable_of(setting)} instead.")
    return values


def _profile_loader(profile: str) -> type[yaml.SafeLoader]:
    """YAML's safe loader, but for a key that appears twice in a mapping: it would take the last one without a word."""

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                line, first = key.start_mark.line + 1, lines.get((key.tag, str(key.value)))
                if first is not None:
                    raise MedcotError(
                        f"Profile {profile}: {key.value} appears twice, in line {first} and in line {line}.",
                        "Merge the two.",
                    )
                lines[key.tag, str(key.value)] = line
            return node

    return Loader


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """pydantic-settings ignores a misspelt variable, so every MEDCOT_ name is held against the known ones."""
    known = {variable_of(name) for name, _ in setting_fields(Settings)} | OUTSIDE_SECTIONS
    own = {name: value for name, value in environment.items() if name.upper().startswith(PREFIX)}
    refuse_other_than_utf8(own)
    for variable in own:
        if variable.upper() not in known:
            suggestion = nearest(variable.upper(), sorted(known))
            raise MedcotError(f"Environment variable {variable}: unknown setting{suggestion}.", "Unset or correct it.")


def _leaf_names(values: Mapping[str, Any], known: set[str], prefix: str = "") -> Iterator[str]:
    """Names of what is set; a setting that is a mapping itself is one name, whatever its keys are."""
    for name, value in values.items():
        if isinstance(value, dict) and f"{prefix}{name}" not in known:
            yield from _leaf_names(value, known, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _first_problem(error: ValidationError, profile: str) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = isinstance(value, str | int | float | bool) and not _is_secret(problem["loc"])
    seen = f" = {value!r}" if shown else ""
    return f"Setting {where}{seen}: {message} (from {_variables(where) or f'profile {profile}'})."


def _variables(setting: str) -> str:
    """The environment variables that set a setting, or anything in a section, as they are written there."""
    variable = variable_of(setting)
    return ", ".join(
        sorted(name for name in os.environ if name.upper() == variable or name.upper().startswith(f"{variable}__"))
    )


def _is_secret(location: tuple[str | int, ...]) -> bool:
    model: Any = Settings
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return model is SecretStr
