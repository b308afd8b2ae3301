"""What README and the pages of docs/ say exists: links, settings, commands, messages."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.generated_pages import PAGES
from medcot_pipeline.cli import cli
from medcot_pipeline.settings import Settings, load_settings, setting_fields, variable_of
from medcot_pipeline.settings.load import OUTSIDE_SECTIONS
from medcot_pipeline_tests.support.home import ROOT

DOCS = ROOT / "docs"
WRITTEN = [*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
PAGE = pytest.mark.parametrize("page", sorted(WRITTEN), ids=lambda path: str(path.relative_to(ROOT)))
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in WRITTEN}
TEXTS |= {f"docs/{name}": page() for name, page in PAGES.items()}
EVERY_TEXT = pytest.mark.parametrize("name", sorted(TEXTS))

CODE = re.compile(r"^ *```.*?^ *```|``.+?``|`[^`\n]+`", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
VARIABLE = re.compile(r"\bMEDCOT_[A-Z0-9_]+")
COMMAND = re.compile(
    r"(?:^|[`/(]|\.sh |=\S+ )medcot((?: --[a-z]+)*) ([a-z][a-z-]*)((?: --[a-z-]+(?: [\w,]+)?)*)", re.MULTILINE
)
EXAMPLES = {"MEDCOT_LENGTHS__QUANTILE"}
"""Settings of the stage that docs/adding-a-stage.md adds."""
MOST_WORDS = 700
LEAST_QUOTED = 8
"""Characters of a message below which a piece of it could stand anywhere."""


def code(text: str) -> str:
    """What stands in backticks, a piece a line."""
    return "\n".join(CODE.findall(text))


def prose(text: str) -> str:
    """What does not."""
    return CODE.sub("", text)


def test_readme_is_read_in_a_few_minutes() -> None:
    words = TEXTS["README.md"].split()
    assert len(words) < MOST_WORDS


@PAGE
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    made = {DOCS / name for name in PAGES} if page.is_relative_to(DOCS) else set()
    for found in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        target = unquote((found[0] or found[1]).partition("#")[0])
        if target and not re.match(r"[a-z]+:", target):
            path = (page.parent / target).resolve()
            assert path.exists() or path in made, f"{page.relative_to(ROOT)} links to {target}"


@EVERY_TEXT
def test_every_variable_is_a_setting(name: str) -> None:
    known = {variable_of(setting) for setting, _ in setting_fields(Settings)} | OUTSIDE_SECTIONS | EXAMPLES
    for variable in VARIABLE.findall(TEXTS[name]):
        begins_some = variable.endswith("__") and any(each.startswith(variable) for each in known)
        assert variable in known or begins_some, f"{name} names {variable}"


@EVERY_TEXT
def test_every_command_and_option_exists(name: str) -> None:
    for before, command, after in COMMAND.findall(code(TEXTS[name])):
        assert command in cli.commands, f"{name} names medcot {command}"
        for found, options in ((cli, before), (cli.commands[command], after)):
            known = {option for each in found.params for option in each.opts}
            assert set(re.findall(r"--[a-z-]+", options)) <= known | {"--help"}, f"{name}: medcot {command}{options}"


def test_the_readers_of_names_find_what_is_wrong() -> None:
    text = "`medcot --debug plan` and\n\n```sh\n.venv/bin/medcot sync --dry --only a,b\n```\nor medcot in words"
    assert COMMAND.findall(code(text)) == [(" --debug", "plan", ""), ("", "sync", " --dry --only a,b")]
    assert LINK.findall(prose('[a](b.md#c) `[d](e)` <img src="f.png">')) == [("b.md#c", ""), ("", "f.png")]


@EVERY_TEXT
def test_every_shell_block_is_shell(name: str) -> None:
    for block in SHELL.findall(TEXTS[name]):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert done.stderr == "", f"{name}: {block}"


@EVERY_TEXT
def test_what_a_page_exports_can_be_set_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block after block, as somebody who follows the page would do it."""
    lines: list[str] = []
    for block in SHELL.findall(TEXTS[name]):
        lines += [line.strip() for line in block.splitlines() if re.match(r" *(export|unset) .*MEDCOT_", line)]
        script = "\n".join(["unset ${!MEDCOT_@}", *lines, "env -0"])
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        with monkeypatch.context() as patch:
            for variable in (each for each in os.environ if each.startswith("MEDCOT_")):
                patch.delenv(variable)
            for pair in done.stdout.split("\0"):
                if pair.startswith("MEDCOT_"):
                    patch.setenv(*pair.split("=", 1))
            load_settings()


def said() -> Iterator[str]:
    """Every text in the package's code; what is filled in is a line end, which no message holds."""
    for path in (ROOT / "medcot_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(each.value) if isinstance(each, ast.Constant) else "\n" for each in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_messages_as_the_code_says_them() -> None:
    rows = re.findall(r"^\| (`.+?) \|", TEXTS["docs/troubleshooting.md"], re.MULTILINE)
    assert rows
    texts = "\n\n".join(said())
    messages = [message for row in rows for message in re.findall("`(.+?)`", row)]
    pieces = {message: [piece.strip() for piece in message.split("...")] for message in messages}
    pieces = {message: [piece for piece in each if len(piece) >= LEAST_QUOTED] for message, each in pieces.items()}
    assert [message for message, each in pieces.items() if not each] == []
    assert [piece for each in pieces.values() for piece in each if piece not in texts] == []


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in setting_fields(Settings) if not field.description] == []
