"""Pages of the documentation that are made from the code: settings, commands, assets, the report, the served instance.

MkDocs calls `on_files` for every build (`hooks` in mkdocs.yml). The pages are not files of the project, so they cannot
differ from the code.

Belongs here: the Markdown of these pages.
Does not belong here: pages that people write (docs/).
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from medcot_pipeline.cli import cli
from medcot_pipeline.evaluation.report.words.definitions import DEFINITIONS
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.report.report import Report
from medcot_pipeline.settings import Settings, profile_names, setting_fields, variable_of
from medcot_pipeline.settings.section import NOT_IDENTITY, OnlyFor, conditions, section_of
from medcot_pipeline.table import STAGES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
NAMES = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
    tuple: "list of pairs",
    dict: "mapping",
}
JSON_NAMES = {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "none"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """MkDocs' hook: add the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files


def settings_page() -> str:
    """Every setting by section: variable, type, default and meaning, with what it depends on; then the profiles."""
    lines = [
        "# Settings",
        "",
        "An environment variable overrides the profile, and the profile overrides the default. In a profile, "
        "`MEDCOT_TRAINING__EPOCHS=2` is written `training: {epochs: 2}`. A variable holds lists and mappings as JSON, "
        "and `null` for no value.",
        "",
        "A setting marked with * changes no output: if you change it, nothing becomes stale.",
    ]
    only_for = dict(_only_for())
    for section, field in Settings.model_fields.items():
        model = section_of(field)
        assert model is not None, f"{section} is no section"
        lines += ["", f"## {section}", "", inspect.getdoc(model) or "", ""]
        lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
        for name, each in setting_fields(model, f"{section}."):
            mark = " \\*" if NOT_IDENTITY in each.metadata else ""
            meaning = "; ".join(filter(None, (each.description, only_for.get(name))))
            lines.append(_row(f"`{variable_of(name)}`{mark}", _kind(each), _default(each), meaning))
    lines += ["", "## Profiles", "", "`MEDCOT_PROFILE` names one of these, or the path of a YAML file of your own."]
    for profile in profile_names():
        text = (ROOT / "medcot_pipeline/settings/profiles" / f"{profile}.yaml").read_text(encoding="utf-8")
        lines += ["", f"### {profile}", "", "```yaml", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command of `medcot` with its usage and options, as `--help` shows them."""
    root = click.Context(cli, info_name="medcot")
    lines = ["# Commands", "", f"{cli.help}", "", *_command(cli, root)]
    for name, command in sorted(cli.commands.items()):
        lines += ["", f"## medcot {name}", "", command.help or "", ""]
        lines += _command(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(lines) + "\n"


def assets_page() -> str:
    """Every asset in the graph's order: what it makes, its inputs and settings, its checks."""
    lines = ["# Assets and checks", "", "In the order in which they are made. A blocking check that fails keeps the"]
    lines += ["artifact from being published; any other check is shown as a warning."]
    for stage in STAGES:
        lines += ["", f"## {stage.asset}", "", inspect.getdoc(stage.make) or "", ""]
        lines += [f"- {title}: {text}" for title, text in _facts(stage).items() if text]
        lines += ["", "| check | question | blocking |", "|---|---|---|"]
        lines += [_row(f"`{each.name}`", each.question, "yes" if each.blocking else "no") for each in stage.checks]
    return "\n".join(lines) + "\n"


def figures_page() -> str:
    """Every figure of the report with its meaning and its interval, as the report prints them."""
    lines = ["# Figures of the report", "", "| figure | meaning | interval |", "|---|---|---|"]
    return "\n".join(lines + [_row(*each) for each in DEFINITIONS]) + "\n"


def report_json_page() -> str:
    """The fields of report.json, part by part, from its JSON schema."""
    schema = Report.model_json_schema()
    lines = ["# The file report.json", "", "`Report.model_json_schema()` of `medcot_pipeline.records.report.report`"]
    lines += ["gives the same as JSON schema."]
    for name, part in {"report.json": schema, **schema["$defs"]}.items():
        lines += ["", f"## {name}", "", part.get("description", ""), ""]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        fields = part.get("properties", {}).items()
        lines += [_row(f"`{field}`", _json_kind(each), each.get("description", "")) for field, each in fields]
    return "\n".join(lines) + "\n"


def served_instance_page() -> str:
    """deploy/README.md; its links lead to files that the site does not have, so their text alone stays."""
    text = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\[([^]]+)\]\((?!https?:)[^)]+\)", r"\1", text)


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/assets.md": assets_page,
    "reference/figures.md": figures_page,
    "reference/report-json.md": report_json_page,
    "how-to/served-instance.md": served_instance_page,
}
"""What makes each generated page, by its path below docs/."""


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from ("```text", command.get_usage(context).removeprefix("Usage: "), "```")
    records = [each.get_help_record(context) for each in command.get_params(context)]
    options = [record for record in records if record]
    if options:
        yield from ("", "| option | meaning |", "|---|---|")
        yield from (_row(f"`{option}`", meaning) for option, meaning in options)


def _facts(stage: Stage) -> dict[str, str]:
    return {
        "Group": stage.group,
        "Made from": ", ".join(f"[{name}](#{name})" for name in stage.inputs),
        "Settings": ", ".join(f"`{name}`" for name in stage.settings),
        "Code version": stage.code_version,
        "Model": "loads one, on the GPU where there is one" if stage.loads_model else "",
    }


def _only_for() -> Iterator[tuple[str, str]]:
    """Each setting that has an effect only while others have some values, and which."""
    found: dict[str, list[OnlyFor]] = {}
    for name, condition in conditions(Settings):
        found.setdefault(name, []).append(condition)
    for name, each in found.items():
        yield name, "only where " + " and ".join(map(_condition, each))


def _condition(condition: OnlyFor) -> str:
    values = ["not set" if each is None else f"`{str(each).lower()}`" for each in condition.values]
    return f"`{condition.switch}` is {' or '.join(values) or 'set'}"


def _kind(field: FieldInfo) -> str:
    """The type of a field in words, with its bounds; that it may be unset shows in its default."""
    return _kind_of(field.annotation, list(field.metadata))


def _kind_of(annotation: Any, marks: list[Any]) -> str:
    kind, marks = _bare(annotation, marks)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_kind_of(each, marks) for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    return ", ".join([NAMES[get_origin(kind) or kind], *_bounds(marks)])


def _bare(kind: Any, marks: list[Any]) -> tuple[Any, list[Any]]:
    """A type without its annotations, and these behind the marks."""
    if get_origin(kind) is not Annotated:
        return kind, marks
    bare, *further = get_args(kind)
    for each in further:
        marks = [*marks, *(each.metadata if isinstance(each, FieldInfo) else [each])]
    return bare, marks


def _bounds(marks: list[Any]) -> Iterator[str]:
    for mark in marks:
        if isinstance(mark, annotated_types.Ge | annotated_types.Gt | annotated_types.Le | annotated_types.Lt):
            yield from (f"{BOUNDS[name]} {value:g}" for name, value in dataclasses.asdict(mark).items())


def _json_kind(schema: Mapping[str, Any]) -> str:
    """The type of a field of a JSON schema in words, parts as links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_json_kind, choices))
    if values := schema.get("enum") or [schema[each] for each in ("const",) if each in schema]:
        return ", ".join(f"`{value}`" for value in values)
    if schema["type"] == "array":
        inner = schema.get("prefixItems") or [schema["items"]]
        return f"list of {', '.join(map(_json_kind, inner))}"
    if schema["type"] == "object":
        inner = schema.get("additionalProperties")
        return f"mapping to {_json_kind(inner)}" if isinstance(inner, Mapping) else "mapping"
    return str(JSON_NAMES.get(schema["type"], schema["type"]))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, SecretStr) or value in ("", (), {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _row(*cells: str) -> str:
    """A row of a table; in no cell a sign ends the cell or begins HTML, but for what stands in backticks."""
    signs = {"|": "\\|", "<": "&lt;"}
    safe = (re.sub(r"(`[^`]*`)|[|<]", lambda found: found[1] or signs[found[0]], cell) for cell in cells)
    return f"| {' | '.join(safe)} |"
