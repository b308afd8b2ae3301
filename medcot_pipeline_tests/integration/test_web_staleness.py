"""Stale and missing on the web page of a real server, against what `medcot plan` says."""

import json
from collections.abc import Iterator

import pytest
import yaml

from medcot_pipeline.table import STAGES
from medcot_pipeline_tests.support.home import BIN, Home
from medcot_pipeline_tests.support.servers import graphql, webserver

CORPUS = "raw_medical_o1,normalized_corpus,deduplicated_corpus,corpus_splits"
RELOAD = """
mutation Reload($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename } }
  }
}
"""
STATUS = "{ assetNodes { assetKey { path } staleStatus } }"
RAISED = '''
"""The pipeline with the code versions of raised.json, as another commit would have them."""
import dataclasses, json
from pathlib import Path
from medcot_pipeline import table

raised = json.loads(Path(__file__).with_name("raised.json").read_text())
stages = [dataclasses.replace(each, code_version=raised.get(each.asset, each.code_version)) for each in table.STAGES]
table.GRAPH = dataclasses.replace(table.GRAPH, stages=tuple(stages))
from medcot_pipeline.definitions import defs
'''


class Project:
    """A home with a profile file and code versions that can be edited, its corpus made, and its web page."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.settings: dict[str, dict[str, object]] = {"base_model": {"kind": "tiny_random"}}
        self.environment = {"MEDCOT_PROFILE": str(home.folder / "own.yaml"), "PYTHONPATH": str(home.folder)}
        (home.folder / "raised_versions.py").write_text(RAISED)
        self.write(self.settings, {})
        self.address = ""

    def write(self, settings: dict[str, dict[str, object]], versions: dict[str, str]) -> None:
        (self.home.folder / "own.yaml").write_text(yaml.safe_dump(settings))
        (self.home.folder / "raised.json").write_text(json.dumps(versions))

    def medcot(self, *arguments: str) -> str:
        """What `medcot` says, under the code versions in force."""
        command = (
            "import sys, raised_versions\n"
            "from medcot_pipeline.cli import main\n"
            f"sys.argv = {['medcot', *arguments]!r}\n"
            "main()"
        )
        done = self.home.run(str(BIN / "python"), "-c", command, **self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def plan(self) -> dict[str, str]:
        """Status of every asset by `medcot plan`."""
        words = [line.split() for line in self.medcot("plan").splitlines()]
        assets = {stage.asset for stage in STAGES}
        return {line[0]: line[1] for line in words if line and line[0] in assets}

    def reload(self) -> None:
        """The button "Reload" of the code location."""
        answer = graphql(self.address, RELOAD, location="raised_versions")["reloadRepositoryLocation"]
        assert answer["locationOrLoadError"]["__typename"] == "RepositoryLocation", answer

    def page(self) -> dict[str, str]:
        """Status of every asset on the page."""
        nodes = graphql(self.address, STATUS)["assetNodes"]
        return {node["assetKey"]["path"][-1]: node["staleStatus"].lower() for node in nodes}

    def assert_page_says_what_plan_says(self, *stale: str) -> None:
        """Stale and missing are the same; what waits for a stale one is fresh there: the page looks one step back."""
        planned, shown = self.plan(), self.page()
        assert {asset for asset, status in planned.items() if status == "stale"} == set(stale)
        assert {asset for asset, status in shown.items() if status == "stale"} == set(stale)
        missing = {asset for asset, status in planned.items() if status == "missing"}
        assert {asset for asset, status in shown.items() if status == "missing"} == missing
        rest = set(planned) - set(stale) - missing
        assert {planned[asset] for asset in rest} <= {"fresh", "waiting"}
        assert {shown[asset] for asset in rest} == {"fresh"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(Home(tmp_path_factory.mktemp("page")))
    project.medcot("sync", "--only", CORPUS)
    with webserver(project.home, "raised_versions", **project.environment) as address:
        project.address = address
        yield project


def test_a_changed_setting_is_stale_on_the_page_as_in_the_plan(project: Project) -> None:
    project.assert_page_says_what_plan_says()
    project.write(project.settings | {"dedup": {"jaccard": 0.7}}, {})
    project.reload()
    project.assert_page_says_what_plan_says("deduplicated_corpus")


def test_a_changed_code_version_is_stale_on_the_page_as_in_the_plan(project: Project) -> None:
    project.write(project.settings, {"corpus_splits": "99"})
    project.reload()
    project.assert_page_says_what_plan_says("corpus_splits")


def test_a_changed_published_input_is_stale_on_the_page_as_in_the_plan(project: Project) -> None:
    project.write(project.settings | {"source": {"max_rows": 300}}, {})
    project.medcot("sync", "--only", "raw_medical_o1")
    project.reload()
    project.assert_page_says_what_plan_says("normalized_corpus")
