import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import medcot_pipeline
from medcot_pipeline.checks import CHECKS
from medcot_pipeline.stages import STAGES, Stage

PACKAGE = Path(medcot_pipeline.__file__).parent
DOMAIN = ("corpus", "datasets", "chat", "training", "evaluation", "inference", "models", "records")
LEAVES = ("artifacts", "settings")
ORCHESTRATION = ("assets", "orchestration", "cli", "definitions")
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
    "pools": {name: sorted(node.pools) for name, node in nodes.items()},
    "code versions": {name: node.code_version for name, node in nodes.items()},
    "checks": sorted([key.asset_key.to_user_string(), key.name] for key in graph.asset_check_keys),
}))
"""


def sources(part: str) -> list[Path]:
    """Files of a package or of a module."""
    return sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(part: str, *forbidden: str) -> list[str]:
    """Imports of a part that lie in one of the forbidden packages."""
    return [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sources(part)
        for name in imports(path)
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    ]


def own_parts(part: str) -> set[str]:
    """Parts of this project that a part imports, itself left out."""
    names = (name for path in sources(part) for name in imports(path) if name.startswith("medcot_pipeline."))
    return {name.split(".")[1] for name in names} - {part}


@pytest.mark.parametrize(
    "part", [*DOMAIN, *LEAVES, "errors", "progress", "stages", "planning", "checks", "charts", "web"]
)
def test_only_orchestration_knows_dagster(part: str) -> None:
    assert offences(part, "dagster", "dagster_pipes", "dagster_shared") == []


def test_the_child_process_knows_dagster_pipes_alone() -> None:
    names = {name.split(".")[0] for path in sources("worker") for name in imports(path)}
    assert {name for name in names if name.startswith("dagster")} == {"dagster_pipes"}


@pytest.mark.parametrize("part", DOMAIN)
def test_domain_code_imports_nothing_of_orchestration(part: str) -> None:
    others = (*ORCHESTRATION, "checks", "planning", "stages", "worker")
    assert offences(part, *(f"medcot_pipeline.{other}" for other in others)) == []


@pytest.mark.parametrize("part", LEAVES)
def test_artifacts_and_settings_import_nothing_but_errors_and_progress(part: str) -> None:
    assert own_parts(part) <= {"errors", "progress"}


def test_what_a_child_process_needs_is_domain_and_leaves() -> None:
    assert own_parts("worker") <= {*DOMAIN, *LEAVES, "errors", "gpu_lock", "progress", "table_files"}


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
    readers = {path.name: found for path in files if (found := pattern_readers(path))}
    assert readers == {"table_files.py": {"pl.read_parquet"}}


def test_a_reader_by_pattern_is_seen_however_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "import glob\nfrom polars import read_csv\npl.scan_parquet(datasets.load_dataset)"
    )
    assert pattern_readers(tmp_path / "module.py") == {"glob", "polars.read_csv", "pl.scan_parquet", "load_dataset"}


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def load():\n    import dagster.core\n    from dagster import asset\n")
    assert list(imports(tmp_path / "module.py")) == ["dagster.core", "dagster.asset"]


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


def test_what_loads_a_model_runs_in_the_pool_gpu(loaded: Any) -> None:
    assert loaded["pools"] == {stage.asset: ["gpu"] if stage.loads_model else [] for stage in STAGES}


def test_the_code_version_of_dagster_begins_with_that_of_the_stage(loaded: Any) -> None:
    versions = {asset: version.partition("+")[0] for asset, version in loaded["code versions"].items()}
    assert versions == {stage.asset: stage.code_version for stage in STAGES}


def test_the_checks_of_the_graph_are_those_of_the_table(loaded: Any) -> None:
    assert loaded["checks"] == sorted([asset, check.name] for asset, checks in CHECKS.items() for check in checks)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_every_asset_has_a_check_that_blocks(stage: Stage) -> None:
    assert any(check.blocking for check in CHECKS[stage.asset])


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.asset)
def test_every_asset_comes_after_its_inputs(stage: Stage) -> None:
    before = [each.asset for each in STAGES[: STAGES.index(stage)]]
    assert set(stage.inputs) <= set(before)
