"""Reading settings: a profile's YAML, then the environment over it.

Belongs here: finding the profile, refusing unknown names with the nearest known one, one-line errors for bad values.
Does not: what the settings mean (models.py).
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.settings.models import Settings

PREFIX = "MEDCOT_"
OUTSIDE_SECTIONS = {"MEDCOT_PROFILE", "MEDCOT_DATA_DIR", "MEDCOT_REALDATA"}
DEFAULT_PROFILE = "demo"


def project_root() -> Path:
    """The checkout that holds `pyproject.toml`, or the working directory for an installed package."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def data_dir() -> Path:
    """Where artifacts live: `MEDCOT_DATA_DIR`, or `data/` in the project; absolute."""
    return (project_root() / os.environ.get("MEDCOT_DATA_DIR", "data")).resolve()


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
        MedcotError: unknown profile, unknown setting, or a value that cannot be used.
    """
    name = profile_name(profile)
    values = _read_profile(name)
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise MedcotError(_first_problem(error, name)) from error


def _read_profile(name: str) -> dict[str, Any]:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise MedcotError(f"MEDCOT_PROFILE={name}: no such file.", "Give a YAML file or a profile's name.")
        text = path.read_text(encoding="utf-8")
    elif name in profile_names():
        text = (resources.files("medcot_pipeline.settings") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise MedcotError(
            f"MEDCOT_PROFILE={name}: no such profile{_nearest(name, profile_names())}.",
            f"Profiles: {', '.join(profile_names())}, or a path to a .yaml file.",
        )
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise MedcotError(f"Profile {name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise MedcotError(f"Profile {name} must be a mapping of sections, not {type(values).__name__}.")
    known = list(_setting_names(Settings))
    for setting in _leaf_names(values):
        if setting not in known:
            raise MedcotError(f"Profile {name}: unknown setting {setting}{_nearest(setting, known)}.")
    return values


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """pydantic-settings ignores a misspelt variable, so every MEDCOT_ name is held against the known ones."""
    known = {f"{PREFIX}{name.replace('.', '__').upper()}" for name in _setting_names(Settings)} | OUTSIDE_SECTIONS
    for variable in environment:
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            nearest = _nearest(variable.upper(), sorted(known))
            raise MedcotError(f"Environment variable {variable}: unknown setting{nearest}.", "Unset or correct it.")


def _setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _setting_names(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _leaf_names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaf_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _first_problem(error: ValidationError, profile: str) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    variable = PREFIX + "__".join(str(part).upper() for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    seen = f" = {value!r}" if isinstance(value, str | int | float | bool) else ""
    source = variable if variable in os.environ else f"profile {profile}"
    return f"Setting {where}{seen}: {message} (from {source})."
