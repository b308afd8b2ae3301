"""Settings that do nothing unless another one is set: refused, since whoever sets one expects that it does something.

Belongs here: what is said.
Does not belong here: which those are (`OnlyFor` at their fields), or values that cannot be used.
"""

from collections.abc import Mapping
from typing import Any

from medcot_pipeline.settings.root import Settings
from medcot_pipeline.settings.section import OnlyFor, conditions, is_nothing, setting_fields, value_of, variable_of
from medcot_pipeline.support.errors import MedcotError


def refuse_without_effect(
    settings: Settings, profile: str, in_profile: set[str], environment: Mapping[str, str]
) -> None:
    """Refuse the first setting that was given but has no effect.

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
    variables = {
        name: {each for each in given if each.upper() == variable_of(name)} for name, _ in setting_fields(Settings)
    }
    for name, condition in conditions(Settings):
        if condition.is_met(settings):
            continue
        counts = name in in_profile and not variables[condition.switch]
        if (variables[name] or counts) and not is_nothing(value_of(settings, name)):
            where = ", ".join(sorted(variables[name])) or f"profile {profile}"
            raise MedcotError(
                f"Setting {name} has no effect while {condition.switch} is "
                f"{_shown(value_of(settings, condition.switch))} (from {where}).",
                f"Leave it out, or {_way_out(condition)}.",
            )


def _shown(value: Any) -> str:
    return "not set" if is_nothing(value) else str(value).lower() if isinstance(value, bool) else str(value)


def _way_out(condition: OnlyFor) -> str:
    variable = variable_of(condition.switch)
    if not condition.values:
        return f"set {variable}"
    if condition.values == (None,):
        return f"leave {condition.switch} out"
    return f"set {variable}={' or '.join(str(value).lower() for value in condition.values)}"
