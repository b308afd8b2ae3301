"""The rules of the package's shape, each as a test.

`docs/architecture.md` says them in words.
"""

import ast
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import medcot_pipeline
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.settings import Settings, recorded
from medcot_pipeline.table import STAGES

PACKAGE = Path(medcot_pipeline.__file__).parent
KERNEL = ("pipeline", "artifacts")
SHARED = (*KERNEL, "settings", "records", "support")
"""What every room's face may import beside its own room."""
FACES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("stages.py"))
MOST_MODULES = 12
HEAVY = (
    "datasets",
    "matplotlib",
    "ray",
    "scipy",
    "statsmodels",
    "torch",
    "transformers",
    "trl",
    "unsloth",
    "wandb",
)

LOAD = """
import json, sys
from medcot_pipeline.definitions import build_defs

graph = build_defs().resolve_asset_graph()
nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
print(json.dumps({
    "modules": sorted(sys.modules),
    "inputs": {name: sorted(key.to_user_string() for key in node.parent_keys) for name, node in nodes.items()},
    "groups": {name: node.group_name for name, node in nodes.items()},
    "tags": {name: node.op_definition.tags if hasattr(node, "op_definition") else {} for name, node in nodes.items()},
    "code versions": {name: node.code_version for name, node in nodes.items()},
    "descriptions": {name: node.description for name, node in nodes.items()},
    "checks": sorted([key.asset_key.to_user_string(), key.name] for key in graph.asset_check_keys),
}))
"""


def modules() -> list[Path]:
    """Every file of the package, relative to it."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> set[str]:
    """Files of the package that import another package, as they are named there."""
    return {
        path.as_posix()
        for path in modules()
        if any(name == package or name.startswith(f"{package}.") for name in imports(PACKAGE / path))
    }


def own(path: Path) -> set[str]:
    """Modules and names of this project that a file imports, without `medcot_pipeline.`."""
    found = (name for name in imports(PACKAGE / path) if name.startswith("medcot_pipeline."))
    return {name.removeprefix("medcot_pipeline.") for name in found}


def lies_in(name: str, *folders: str) -> bool:
    """Whether a module or a name in it lies in one of some folders."""
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


# 1. Rooms meet through artifacts.


@pytest.mark.parametrize("face", FACES, ids=str)
def test_the_stages_of_a_room_know_their_own_room_and_what_all_rooms_share(face: Path) -> None:
    room = face.parent.as_posix().replace("/", ".")
    assert {name for name in own(face) if not lies_in(name, room, *SHARED)} == set()


def test_no_room_imports_the_stages_of_another() -> None:
    allowed = {"table.py", "orchestration/automation/triggers.py"}
    wrong = [
        f"{path} imports {name}"
        for path in modules()
        for name in own(path)
        if ".stages." in name and not lies_in(name, path.parent.as_posix().replace("/", "."))
    ]
    assert {each.partition(" ")[0] for each in wrong} <= allowed


# 2. The kernel knows no asset.


@pytest.mark.parametrize("part", KERNEL)
def test_the_kernel_names_no_asset(part: str) -> None:
    assets = re.compile(r"[\"'`](?:" + "|".join(stage.asset for stage in STAGES if "_" in stage.asset) + r")[\"'`]")
    code = {path: (PACKAGE / path).read_text(encoding="utf-8") for path in modules() if path.parts[0] == part}
    assert {str(path): found for path, text in code.items() if (found := assets.findall(text))} == {}


@pytest.mark.parametrize("part", KERNEL)
def test_the_kernel_imports_no_room(part: str) -> None:
    wrong = {
        f"{path} imports {name}"
        for path in modules()
        if path.parts[0] == part
        for name in own(path)
        if not lies_in(name, "pipeline", "artifacts", "settings", "support", "compute")
    }
    assert wrong == set()


def test_what_is_shared_imports_no_room() -> None:
    wrong = {
        f"{path} imports {name}"
        for path in modules()
        if path.parts[0] in ("settings", "records", "support", "artifacts")
        for name in own(path)
        if not lies_in(name, *{"settings", "support", path.parts[0]})
    }
    assert wrong == set()


# 3. Dagster in one place.


def test_only_orchestration_imports_dagster() -> None:
    found = importers("dagster") | importers("dagster_shared")
    assert {name for name in found if not name.startswith("orchestration/")} == {"definitions.py"}


def test_only_the_child_process_imports_dagster_pipes() -> None:
    assert importers("dagster_pipes") == {"compute/child.py"}


def test_no_room_imports_orchestration() -> None:
    found = importers("medcot_pipeline.orchestration")
    outside = {name for name in found if not name.startswith("orchestration/")}
    assert outside == {"cli.py", "definitions.py"}


# 4. A job is a function and its arguments.


def jobs() -> list[Path]:
    """Modules with jobs of the child process."""
    return [path for path in modules() if path.name == "job.py" and path.parts[0] != "orchestration"]


@pytest.mark.parametrize("path", jobs(), ids=str)
def test_a_job_takes_a_pydantic_model_and_says_its_progress(path: Path) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    models = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("BaseModel") for base in node.bases)
    }
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    assert functions
    for function in functions:
        first, second = function.args.args
        assert first.annotation and ast.unparse(first.annotation) in models
        assert second.annotation and ast.unparse(second.annotation) == "Say"


def test_the_child_process_knows_no_job() -> None:
    assert {
        name for name in own(Path("compute/child.py")) if not lies_in(name, "artifacts", "compute", "support")
    } == set()


# 5. One way to servers.


def test_only_two_files_open_connections_by_themselves() -> None:
    assert importers("httpx") == {"inference/endpoint.py", "support/net/hub.py", "support/net/client.py"}
    assert importers("openai") == set()
    callers = {
        path.as_posix()
        for path in modules()
        if any(lies_in(name, "support.net.client.open_client") for name in own(path))
    }
    assert callers == {"inference/endpoint.py", "orchestration/automation/alerts.py"}


# 6. Settings are a leaf.


def test_settings_import_nothing_but_support() -> None:
    found = {name for path in modules() if path.parts[0] == "settings" for name in own(path)}
    assert {name for name in found if not lies_in(name, "settings", "support")} == set()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_the_settings_of_a_stage_exist(stage: Stage) -> None:
    recorded(Settings(), *stage.settings)


# 7. One word for one thing.


def test_no_two_classes_have_one_name() -> None:
    names: dict[str, list[str]] = {}
    for path in modules():
        tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names.setdefault(node.name, []).append(path.as_posix())
    assert {name: paths for name, paths in names.items() if len(paths) > 1} == {}


def test_the_kernels_classes_and_what_rooms_exchange_stand_in_the_glossary() -> None:
    glossary = (PACKAGE.parent / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    classes = {
        node.name
        for path in modules()
        if path.parts[0] == "pipeline"
        for node in ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    said = {" ".join(re.findall(r"[A-Z][a-z]*", name)).lower() for name in classes}
    files = [path.stem for path in modules() if path.parent.as_posix() == "records" and path.stem != "__init__"]
    said |= {name.rstrip("s").replace("_", " ") for name in files}
    assert {word for word in said if word not in glossary} == set()


# 8. Adding a stage touches its room, its settings and one line of the table: see integration/test_new_stage.py.


# 9. A newcomer reads a file in one screen, and a folder at a glance.


def test_no_folder_holds_more_than_a_dozen_modules() -> None:
    counts: dict[str, int] = {}
    for path in modules():
        counts[path.parent.as_posix()] = counts.get(path.parent.as_posix(), 0) + 1
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_files_are_short() -> None:
    lines = {path.as_posix(): len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert statistics.median(lines.values()) <= 100
    assert {name: count for name, count in lines.items() if count > 400} == {}
    assert sum(count < 300 for count in lines.values()) >= 0.9 * len(lines)


# What a reader by pattern would read beside the file that was meant.


def pattern_readers(path: Path) -> set[str]:
    """Functions used in a file that take a name for a pattern, as they are written there."""
    found = {name for name in imports(path) if name == "glob" or name.startswith(("glob.", "polars.read_"))}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name == "load_dataset":
            found.add(name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pl":
            found |= {f"pl.{name}"} if name.startswith(("read_", "scan_")) else set()
    return found


def test_tables_are_read_in_one_place_where_no_name_is_a_pattern() -> None:
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").glob("*.py")]
    readers = [found for path in files if (found := pattern_readers(path))]
    assert readers == [{"pl.read_parquet"}]


def test_a_reader_by_pattern_is_seen_however_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "import glob\nfrom polars import read_csv\npl.scan_parquet(datasets.load_dataset)"
    )
    assert pattern_readers(tmp_path / "module.py") == {"glob", "polars.read_csv", "pl.scan_parquet", "load_dataset"}


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def load():\n    import dagster.core\n    from dagster import asset\n")
    assert list(imports(tmp_path / "module.py")) == ["dagster.core", "dagster.asset"]


# What Dagster holds is what the table says.


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a fresh process holds once it has loaded the definitions."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDCOT_", "DAGSTER_"))}
    environment = {**kept, "MEDCOT_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", HEAVY)
def test_loading_the_definitions_imports_nothing_heavy(loaded: Any, module: str) -> None:
    assert module not in loaded["modules"]


def test_the_asset_graph_is_the_table_of_stages(loaded: Any) -> None:
    assert loaded["inputs"] == {stage.asset: sorted(stage.inputs) for stage in STAGES}


def test_every_asset_is_in_the_group_of_its_stage(loaded: Any) -> None:
    assert loaded["groups"] == {stage.asset: stage.group for stage in STAGES}


def test_the_page_says_of_every_asset_what_its_stage_says(loaded: Any) -> None:
    assert all((loaded["descriptions"][stage.asset] or "").strip() for stage in STAGES)


def test_the_code_version_of_dagster_begins_with_that_of_the_stage(loaded: Any) -> None:
    versions = {asset: version.partition("+")[0] for asset, version in loaded["code versions"].items()}
    assert versions == {stage.asset: stage.code_version for stage in STAGES}


def test_the_checks_of_the_graph_are_those_of_the_table(loaded: Any) -> None:
    assert loaded["checks"] == sorted([stage.asset, check.name] for stage in STAGES for check in stage.checks)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_every_asset_has_a_check(stage: Stage) -> None:
    assert stage.checks


def test_what_loads_a_model_asks_a_cluster_for_a_gpu() -> None:
    from medcot_pipeline.orchestration.assets import GPU_TAGS, asset_of

    tagged = {stage.asset: {name: asset_of(stage).op.tags.get(name) for name in GPU_TAGS} for stage in STAGES}
    for stage in STAGES:
        assert (tagged[stage.asset]["medcot/gpu"] == "1") is stage.loads_model
