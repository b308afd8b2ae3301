"""Files about the project say the same as the project itself."""

import tomllib

import yaml

from medcot_pipeline_tests.support.home import ROOT


def test_the_citation_names_the_version_and_the_licence_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {name: citation[name] for name in ("version", "license")} == {
        "version": project["version"],
        "license": project["license"],
    }


def test_a_commit_is_checked_by_the_targets_that_the_tests_begin_with() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make lint", "make types"]
