"""The pages of the documentation that are made from the code, and the site that holds them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.generated_pages import (
    assets_page,
    commands_page,
    figures_page,
    report_json_page,
    served_instance_page,
    settings_page,
)
from medcot_pipeline.cli import cli
from medcot_pipeline.evaluation.report.words.definitions import DEFINITIONS
from medcot_pipeline.records.report.report import Report
from medcot_pipeline.settings import Settings, profile_names, setting_fields, variable_of
from medcot_pipeline.table import STAGES
from medcot_pipeline_tests.support.home import ROOT


def cells(page: str) -> list[list[str]]:
    """The rows of all tables of a page, without their heads."""
    rows = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in page.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] not in ("setting", "check", "option", "figure", "field")]


def test_every_setting_is_listed_with_type_default_and_meaning() -> None:
    rows = cells(settings_page())
    variables = [variable_of(name) for name, _ in setting_fields(Settings)]
    assert [row[0].removesuffix(" \\*").strip("`") for row in rows] == variables
    assert all(len(row) == 4 and all(row) for row in rows)


@pytest.mark.parametrize(
    ("variable", "kind", "default"),
    [
        ("MEDCOT_TRAINING__LEARNING_RATE", "number, above 0, below 1", "`0.0001`"),
        ("MEDCOT_SOURCE__MAX_ROWS", "whole number, at least 1", "none"),
        ("MEDCOT_SOURCE__KIND", "`sample`, `file`, `hub`", "`sample`"),
        ("MEDCOT_NORMALIZE__LANGUAGE", "`zh`, `en`", "none"),
        ("MEDCOT_DEDUP__SWAPS", "list of pairs", "none"),
        ("MEDCOT_SPLITS__BENCHMARK_FIELDS", "mapping", "none"),
        ("MEDCOT_JUDGE__API_KEY", "secret", "none"),
        ("MEDCOT_ANSWERS__PROMPTS", "path", "`data/prompts/instruction_following.jsonl`"),
        ("MEDCOT_EXAMS__SHUFFLE_OPTIONS", "true or false", "`false`"),
        ("MEDCOT_COMPUTE__GPUS", "`auto` or whole number, at least 1", "`1`"),
    ],
)
def test_types_and_defaults_are_in_words(variable: str, kind: str, default: str) -> None:
    (row,) = [row for row in cells(settings_page()) if f"`{variable}`" in row[0]]
    assert row[1:3] == [kind, default]


def test_a_setting_says_what_it_depends_on_and_whether_it_changes_an_output() -> None:
    page = settings_page()
    assert re.search(r"`MEDCOT_SOURCE__CONFIG` \|.*; only where `source\.kind` is `hub` \|", page)
    assert re.search(r"`MEDCOT_EXAMS__SAMPLES` \|.*; only where `exams\.folder` is set \|", page)
    assert "`MEDCOT_INFERENCE__ROWS` \\* |" in page
    assert "`MEDCOT_TRAINING__SEED` |" in page


def test_every_profile_is_shown_whole() -> None:
    page = settings_page()
    for name in profile_names():
        text = (ROOT / "medcot_pipeline" / "settings" / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
        assert f"### {name}\n\n```yaml\n{text}```" in page


def test_every_command_and_option_is_listed() -> None:
    page = commands_page()
    for name, command in cli.commands.items():
        _, _, section = page.partition(f"## medcot {name}\n")
        section = section.partition("\n## ")[0]
        assert f"medcot {name} [OPTIONS]" in section
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert all(f"`{option}" in section for each in options for option in each.opts)


def test_every_asset_is_listed_with_its_inputs_and_checks() -> None:
    page = assets_page()
    for stage in STAGES:
        section = page.partition(f"## {stage.asset}\n")[2].partition("\n## ")[0]
        assert all(f"[{name}](#{name})" in section for name in stage.inputs)
        assert [row[0].strip("`") for row in cells(section)] == [check.name for check in stage.checks]


def test_marks_in_words_are_no_html_and_marks_in_backticks_stay() -> None:
    assert "| Does every record have the form &lt;think> reasoning &lt;/think> answer? |" in assets_page()
    assert "(`<think>`, `</think>`, the end token)" in figures_page()


def test_every_figure_is_listed() -> None:
    assert [row[0] for row in cells(figures_page())] == [each.figure for each in DEFINITIONS]


def test_every_field_of_the_report_is_listed_and_every_part_linked() -> None:
    page = report_json_page()
    top = page.partition("## report.json\n")[2].partition("\n## ")[0]
    assert [row[0].strip("`") for row in cells(top)] == list(Report.model_fields)
    parts = {name.lower() for name in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= parts


def test_the_served_instance_links_to_nothing_that_the_site_lacks() -> None:
    page = served_instance_page()
    assert "`nginx/medcot.conf`" in page
    assert re.findall(r"\]\((?!https?:)", page) == []


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?:[^\"\s>]+)", page.read_text())
        assert loaded == [], page
