"""What docstrings point to is there: a module that moves takes its name in other docstrings with it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import medcot_pipeline
import medcot_pipeline_tests

PACKAGE = Path(medcot_pipeline.__file__).parent
TESTS = Path(medcot_pipeline_tests.__file__).parent
PROJECT = PACKAGE.parent
ROOTS = (PACKAGE, TESTS, PROJECT / "benchmarks")
NAME = re.compile(r"(?<![\w./`-])(?:[\w.-]+/)+(?=[\s,;:.)]|$)|(?<![\w./<>*-])(?:[\w.-]+/)*[\w-]+\.(?:py|md|sh)\b")
"""A folder, or a file of code or prose. A folder in backticks is one that a run makes, such as `aside/`."""


def docstrings(path: Path) -> Iterator[str]:
    """Docstrings of a file and of what it defines, and the strings that explain a constant or a field."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def leads_somewhere(name: str, folder: Path, root: Path) -> bool:
    """Whether a name in a module's docstring means one file or folder.

    It is looked for in the module's folder and those around it, from the package's root and from the project's; a name
    without a folder also below the module's folder, where there must be no other of that name.
    """
    around = [folder, *(each for each in folder.parents if each.is_relative_to(root))]
    if any((each / name).exists() for each in (*around, PACKAGE, PROJECT)):
        return True
    return "/" not in name and len(list(folder.rglob(name))) == 1


def lost_names(path: Path, root: Path) -> list[str]:
    """Names in the docstrings of a file that lead nowhere."""
    names = [name for text in docstrings(path) for name in NAME.findall(text)]
    return [name for name in names if not leads_somewhere(name, path.parent, root)]


def test_every_file_and_folder_that_a_docstring_names_exists() -> None:
    files = [(path, root) for root in ROOTS for path in sorted(root.rglob("*.py"))]
    found = {str(path.relative_to(PROJECT)): lost for path, root in files if (lost := lost_names(path, root))}
    assert found == {}


def test_a_name_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    room = tmp_path / "room"
    (room / "rules").mkdir(parents=True)
    for name in ("room/plan.py", "room/rules/words.py", "beside.py"):
        (tmp_path / name).write_text("")
    (room / "module.py").write_text(
        '"""Reads plan.py, rules/, words.py, beside.py and `aside/`.\n\nNot gone.py, lost/ or rules/plan.py.\n"""\n'
        'LIMIT = 1\n"""As in limits.py."""\n'
    )
    assert lost_names(room / "module.py", tmp_path) == ["gone.py", "lost/", "rules/plan.py", "limits.py"]
    (room / "rules" / "deeper").mkdir()
    (room / "rules" / "deeper" / "words.py").write_text("")
    assert "words.py" in lost_names(room / "module.py", tmp_path)
