"""Like is compared with like: a toy pipeline over a real store, whose two models are measured and compared."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity
from medcot_pipeline.pipeline.alike import MADE_WITH
from medcot_pipeline.pipeline.check import Check
from medcot_pipeline.pipeline.graph import Graph
from medcot_pipeline.pipeline.make import make_asset
from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.told import Told

OLD, NEW = {"torch": "1.0", "device": "CPU"}, {"torch": "2.0", "device": "CPU"}
CANDIDATE, INCUMBENT = "weights of the candidate", "weights of the incumbent"
WITH_OLD, WITH_NEW = f"{CANDIDATE}, torch 1.0", f"{CANDIDATE}, torch 2.0"
FIGURES = "figures.txt"
MEASURED_BY = ("sft.max_tokens",)
"""Some setting that the measures read."""
MADE = Check("made", "Is anything in it?", lambda folder, inputs: (any(folder.iterdir()), "by a test"))


@dataclasses.dataclass
class Machine:
    """What measures are made with here, and every stage that ran."""

    made_with: dict[str, str]
    ran: list[str] = dataclasses.field(default_factory=list)
    of_base: dict[str, str] | None = None
    """What the base is measured with, where that is something else."""

    def adapter(self, run: Run) -> None:
        """A stage that trains."""
        self.ran.append("adapter")
        (run.path / "weights").write_text(CANDIDATE)

    def base_measure(self, run: Run) -> None:
        """A stage that measures the base."""
        self._measure(run, "the base", self.of_base or self.made_with)

    def tuned_measure(self, run: Run) -> None:
        """A stage that measures the base with the adapter."""
        self._measure(run, (run.input("adapter") / "weights").read_text(), self.made_with)

    def _measure(self, run: Run, model: str, made_with: Mapping[str, str]) -> None:
        self.ran.append(f"{run.identity.asset} of {model}")
        write_json(run.path / MADE_WITH, made_with)
        (run.path / FIGURES).write_text(f"{model}, torch {made_with['torch']}")

    def comparison(self, run: Run) -> None:
        """A stage that compares both, and the candidate with the incumbent."""
        self.ran.append("comparison")
        compared = {name: (run.input(name) / FIGURES).read_text() for name in run.inputs}
        if beside := run.over_incumbent("tuned_measure"):
            compared["incumbent"] = (beside / FIGURES).read_text()
        write_json(run.path / "compared.json", compared)


@dataclasses.dataclass
class Pipeline:
    """The toy pipeline in one data folder, on one machine after another."""

    machine: Machine
    workspace: Workspace
    host: Told = dataclasses.field(default_factory=Told)

    def make(self, *assets: str) -> None:
        """Bring assets up to date, as a pass does."""
        for asset in assets:
            make_asset(self.workspace, asset, self.host)

    def compare(self) -> dict[str, str]:
        """What a comparison made now says; what ran for it is in `machine.ran`."""
        self.machine.ran.clear()
        self.make("comparison")
        made = self.workspace.current("comparison")
        assert made
        return dict(read_json(made.folder / "compared.json"))


def weights_of_the_incumbent(place: Place) -> Artifact:
    """An adapter of another recipe, published and not current."""
    identity = Identity("adapter", "1", {"rate": 1}, {}, {})
    files = {"weights": INCUMBENT}
    return place.artifact(publish(place.store, identity, files, select=False))


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., Pipeline]:
    """Makes the pipeline; `promoted` says whether an incumbent stands against the candidate."""

    def build(made_with: dict[str, str] = OLD, *, promoted: bool = False) -> Pipeline:
        machine = Machine(made_with)
        stages = (
            Stage("adapter", group="toy", code_version="1", make=machine.adapter, checks=(MADE,)),
            Stage(
                "base_measure",
                group="toy",
                code_version="1",
                make=machine.base_measure,
                checks=(MADE,),
                settings=MEASURED_BY,
            ),
            Stage(
                "tuned_measure",
                group="toy",
                code_version="1",
                make=machine.tuned_measure,
                checks=(MADE,),
                inputs=("adapter",),
                settings=MEASURED_BY,
            ),
            Stage(
                "comparison",
                group="toy",
                code_version="1",
                make=machine.comparison,
                checks=(MADE,),
                inputs=("base_measure", "tuned_measure"),
                compares=("base_measure", "tuned_measure"),
                meets_incumbent=lambda settings: promoted,
            ),
        )
        graph = Graph(stages, lambda place, inputs, whole: weights_of_the_incumbent(place))
        store = ArtifactStore(tmp_path / "data", tmp_path)
        return Pipeline(machine, Workspace("toy", Settings(), tmp_path, store, graph))

    return build


def date(workspace: Workspace, asset: str, day: str) -> None:
    """Let an asset's current artifact have been made on a day."""
    made = workspace.current(asset)
    assert made
    dataclasses.replace(made.manifest, created=f"2026-01-{day}T00:00:00+00:00").write(made.folder)


def test_measures_that_were_made_alike_are_compared_as_they_are(pipeline: Callable[..., Pipeline]) -> None:
    toy = pipeline()
    toy.make("adapter", "base_measure", "tuned_measure")
    assert toy.compare() == {"base_measure": "the base, torch 1.0", "tuned_measure": WITH_OLD}
    assert toy.machine.ran == ["comparison"]
    assert toy.host.again == []


@pytest.mark.parametrize(("older", "newer"), [("base_measure", "tuned_measure"), ("tuned_measure", "base_measure")])
def test_the_older_of_two_measures_that_were_made_otherwise_is_made_again_and_the_reason_is_said(
    pipeline: Callable[..., Pipeline], older: str, newer: str
) -> None:
    toy = pipeline()
    toy.make("adapter", older)
    date(toy.workspace, older, "01")
    toy.machine.made_with = NEW
    toy.make(newer)
    date(toy.workspace, newer, "02")
    assert toy.compare() == {"base_measure": "the base, torch 2.0", "tuned_measure": WITH_NEW}
    model = {"base_measure": "the base", "tuned_measure": CANDIDATE}[older]
    assert toy.machine.ran == [f"{older} of {model}", "comparison"]
    assert f"{older} is measured again, to be comparable with {newer}: torch 1.0 against 2.0" in toy.host.lines
    made = toy.workspace.current(older)
    assert made and toy.host.again == [made], "it is the current one from now on"
    assert toy.compare() and toy.machine.ran == []


def test_measures_that_cannot_be_made_alike_here_are_refused_by_name(pipeline: Callable[..., Pipeline]) -> None:
    toy = pipeline()
    toy.machine.of_base = {**OLD, "device": "another card"}
    toy.make("adapter", "base_measure", "tuned_measure")
    date(toy.workspace, "base_measure", "01")
    with pytest.raises(MedcotError) as raised:
        toy.compare()
    assert str(raised.value) == (
        "comparison: base_measure and tuned_measure cannot be compared: device another card against CPU. "
        "Measure both in one place: `medcot sync --force tuned_measure`."
    )
    assert toy.machine.ran == ["base_measure of the base"]
    assert toy.workspace.current("comparison") is None


def test_measures_by_other_settings_are_refused_by_name(pipeline: Callable[..., Pipeline]) -> None:
    toy = pipeline()
    toy.make("adapter", "base_measure")
    sft = toy.workspace.settings.sft.model_copy(update={"max_tokens": 7})
    settings = toy.workspace.settings.model_copy(update={"sft": sft})
    toy.workspace = dataclasses.replace(toy.workspace, settings=settings)
    toy.make("tuned_measure")
    with pytest.raises(MedcotError) as raised:
        toy.compare()
    assert str(raised.value) == (
        "comparison: base_measure and tuned_measure were not measured under the same conditions: setting "
        "sft.max_tokens. Run `medcot sync`, which rebuilds what is stale."
    )
    assert toy.machine.ran == []


def test_an_incumbent_is_not_measured_by_other_settings_than_the_candidate(pipeline: Callable[..., Pipeline]) -> None:
    toy = pipeline(promoted=True)
    toy.make("adapter", "base_measure", "tuned_measure")
    sft = toy.workspace.settings.sft.model_copy(update={"max_tokens": 7})
    settings = toy.workspace.settings.model_copy(update={"sft": sft})
    toy.workspace = dataclasses.replace(toy.workspace, settings=settings)
    with pytest.raises(MedcotError, match=r"would be measured under other conditions .* setting sft\.max_tokens"):
        toy.compare()
    assert toy.machine.ran == ["comparison"]


def measured(toy: Pipeline, made_with: Mapping[str, str]) -> None:
    """Let the incumbent have been measured when it was the candidate."""
    stage, incumbent = toy.workspace.graph.stage("tuned_measure"), weights_of_the_incumbent(toy.workspace)
    files = {MADE_WITH: made_with, FIGURES: f"{INCUMBENT}, torch {made_with['torch']}, before"}
    publish(toy.workspace.store, toy.workspace.identity(stage, {"adapter": incumbent}), files, select=False)


def test_the_incumbents_measure_is_found_where_it_was_made_before(pipeline: Callable[..., Pipeline]) -> None:
    toy = pipeline(promoted=True)
    toy.make("adapter", "base_measure", "tuned_measure")
    measured(toy, OLD)
    assert toy.compare()["incumbent"] == f"{INCUMBENT}, torch 1.0, before"
    assert toy.machine.ran == ["comparison"]


def test_an_incumbent_that_was_not_measured_is_measured_and_the_candidates_measure_stays_current(
    pipeline: Callable[..., Pipeline],
) -> None:
    toy = pipeline(promoted=True)
    toy.make("adapter", "base_measure", "tuned_measure")
    mine = toy.workspace.current("tuned_measure")
    assert toy.compare()["incumbent"] == f"{INCUMBENT}, torch 1.0"
    assert toy.machine.ran == ["comparison", f"tuned_measure of {INCUMBENT}"]
    assert toy.workspace.current("tuned_measure") == mine


def test_an_incumbents_measure_that_was_made_otherwise_is_made_again_and_the_reason_is_said(
    pipeline: Callable[..., Pipeline],
) -> None:
    toy = pipeline(NEW, promoted=True)
    toy.make("adapter", "base_measure", "tuned_measure")
    measured(toy, OLD)
    assert toy.compare()["incumbent"] == f"{INCUMBENT}, torch 2.0"
    assert toy.machine.ran == ["comparison", f"tuned_measure of {INCUMBENT}"]
    assert "tuned_measure of the incumbent is measured again: torch 1.0 against 2.0" in toy.host.lines


def test_an_incumbent_that_cannot_be_measured_as_the_candidate_was_is_refused_with_the_way_out(
    pipeline: Callable[..., Pipeline],
) -> None:
    toy = pipeline(promoted=True)
    toy.make("adapter", "base_measure", "tuned_measure")
    toy.machine.made_with = NEW
    with pytest.raises(MedcotError) as raised:
        toy.compare()
    assert str(raised.value) == (
        "tuned_measure: the incumbent's and the candidate's cannot be compared: torch 2.0 against 1.0. "
        "Measure the candidate here too: `medcot sync --force tuned_measure`."
    )
    make_asset(toy.workspace, "tuned_measure", toy.host, force=True)
    date(toy.workspace, "base_measure", "01")
    every = {"base_measure": "the base, torch 2.0", "tuned_measure": WITH_NEW, "incumbent": f"{INCUMBENT}, torch 2.0"}
    assert toy.compare() == every
    assert toy.machine.ran == ["base_measure of the base", "comparison"]
