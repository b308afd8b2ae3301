"""The pipeline as a table: what every asset depends on, which settings it reads, which files from outside.

Belongs here: identity. Whoever wants to know why an asset is stale looks here.
Does not: what an asset does (assets/), or Dagster.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import ArtifactStore, FileHashes, Identity, Manifest
from medcot_pipeline.corpus.overlap.benchmark_files import benchmark_files
from medcot_pipeline.corpus.sources.incoming import REVISION_FILE, row_files
from medcot_pipeline.corpus.sources.source import local_file
from medcot_pipeline.models.folder import model_files
from medcot_pipeline.release.promoted import ADAPTER, Promoted
from medcot_pipeline.settings import (
    Settings,
    data_dir,
    load_settings,
    profile_name,
    project_file,
    project_root,
    require_utf8,
)
from medcot_pipeline.support.errors import NOT_THERE, MedcotError, nearest
from medcot_pipeline.support.folders import files_in
from medcot_pipeline.support.row_files import file_format

Reads = Callable[[Settings], dict[str, Any]]
Files = Callable[[Settings, Path, Path], dict[str, Path]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One asset's identity.

    Attributes:
        asset: asset key.
        group: corpus, sft, training or evaluation.
        code_version: raised by hand when the same inputs give other outputs.
        inputs: upstream assets.
        reads: the settings that change the output, as JSON values; speed and secrets are not among them.
        files: files from outside the graph, by name, given the settings, the project folder and the data folder; a
            file that does not exist is left out here, and refused by the asset that needs it.
        loads_model: whether it runs in the pool `gpu`.
        meets_incumbent: whether it holds the adapter against the incumbent, given the settings.
    """

    asset: str
    group: str
    code_version: str
    inputs: tuple[str, ...]
    reads: Reads
    files: Files = lambda settings, root, data: {}
    loads_model: bool = False
    meets_incumbent: Callable[[Settings], bool] = lambda settings: False

    def external(self, settings: Settings, root: Path, data: Path, hashes: FileHashes) -> dict[str, str]:
        """Content hash of every file from outside, by name.

        Raises:
            MedcotError: a name is not UTF-8.
        """
        found = {}
        for name, path in sorted(self.files(settings, root, data).items()):
            require_utf8(path)
            with contextlib.suppress(*NOT_THERE):
                found[name] = hashes.of(path)
        return found

    def identity(
        self, settings: Settings, root: Path, data: Path, hashes: FileHashes, inputs: Mapping[str, str]
    ) -> Identity:
        """Everything the artifact depends on, given the content hashes of its inputs."""
        external = self.external(settings, root, data, hashes)
        incumbent = None
        if self.meets_incumbent(settings):
            incumbent = Promoted(data).against(inputs[ADAPTER], inputs.get("base_model"))
        if incumbent:
            external |= {INCUMBENT: incumbent.content_hash}
        return Identity(self.asset, self.code_version, self.reads(settings), dict(inputs), external)


INCUMBENT = "incumbent adapter"
"""Name of the promoted adapter among what an artifact is made from."""


def _section(name: str, *left_out: str) -> Reads:
    def reads(settings: Settings) -> dict[str, Any]:
        values: dict[str, Any] = getattr(settings, name).model_dump(mode="json", exclude=set(left_out))
        return {f"{name}.{key}": value for key, value in values.items()}

    return reads


def _source(settings: Settings) -> dict[str, Any]:
    left_out, only_hub = ("path", "incoming", "follow_hub"), ("repository", "config", "revision")
    return _section("source", *left_out, *(() if settings.source.kind == "hub" else only_hub))(settings)


LARGEST_REVIEW = 16 * 2**20
"""Bytes of a verdict file; four times what the review server takes."""
HUB_REVISION = "hub revision"
INCOMING = "incoming "
REVIEW = "review "
"""Names of the files from outside that sensors watch; the last two stand before a file's own name."""


def _source_files(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    source = settings.source
    further = {f"{INCOMING}{path.name}": path for path in row_files(source, data)}
    if source.kind != "hub":
        return {"source file": local_file(source, root), **further}
    return {**({HUB_REVISION: data / REVISION_FILE} if source.follow_hub else {}), **further}


def _benchmarks(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    folder = settings.splits.benchmark_dir
    if folder is None:
        return {}
    return {f"benchmark {name}": path for name, path in benchmark_files(root / folder).items()}


def _base_model(settings: Settings) -> dict[str, Any]:
    relevant = {
        "smollm2_wheel": (),
        "tiny_random": ("tiny_hidden", "tiny_layers", "seed"),
        "hub": ("repository", "revision"),
        "path": (),
    }[settings.base_model.kind]
    values = settings.base_model.model_dump(mode="json", include={"kind", *relevant})
    return {f"base_model.{key}": value for key, value in values.items()}


def _base_model_files(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    if settings.base_model.kind != "path" or settings.base_model.path is None:
        return {}
    return {f"base model {path.name}": path for path in model_files(root / settings.base_model.path)}


def _training(settings: Settings) -> dict[str, Any]:
    only_memory = ("max_gpu_memory_gb", "micro_batch_tokens", "checkpointing")  # the same steps, cut otherwise
    return _section("training", *only_memory)(settings) | {"sft.max_tokens": settings.sft.max_tokens}


def _perplexity(settings: Settings) -> dict[str, Any]:
    measured = _section("perplexity", "batch_size", "general_texts")(settings)
    exams = _section("exams", "folder")(settings) if settings.exams.folder else {}
    return measured | exams


def _texts_and_exams(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    exams = {f"exam {path.name}": path for path in exam_files(settings, root)}
    return {"general texts": project_file(settings.perplexity.general_texts, root), **exams}


def exam_files(settings: Settings, root: Path) -> list[Path]:
    """The exams that are set, sorted by name; none without a folder."""
    folder = settings.exams.folder
    return [path for path in files_in(root / folder) if file_format(path)] if folder else []


def _answers(settings: Settings) -> dict[str, Any]:
    answers = _section("answers", "prompts", "endpoint")(settings)
    if settings.answers.backend == "model":
        return answers
    there = settings.answers.endpoint.model_dump(mode="json", include={"base_url", "base_model", "tuned_model"})
    return answers | {f"answers.endpoint.{name}": value for name, value in there.items()}


def _prompts(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    return {"prompts": project_file(settings.answers.prompts, root)}


def _judgements(settings: Settings) -> dict[str, Any]:
    judge = _section("judge", "api_key", "concurrency", "timeout_s", "max_retries")(settings)
    return judge | {"review.salt": settings.review.salt, "review.repeats": settings.review.repeats}


def review_files(settings: Settings, data: Path) -> list[Path]:
    """Verdict files that people saved, sorted by name.

    Raises:
        MedcotError: one is larger than any review.
    """
    files = [path for path in files_in(data / settings.review.folder) if path.suffix == ".json"]
    for path in files:
        size = path.stat().st_size
        if size > LARGEST_REVIEW:
            raise MedcotError(
                f"{path}: {size:,} bytes, more than any review has ({LARGEST_REVIEW:,}).", "Move it away."
            )
    return files


def _reviews(settings: Settings, root: Path, data: Path) -> dict[str, Path]:
    return {f"{REVIEW}{path.name}": path for path in review_files(settings, data)}


STAGES: tuple[Stage, ...] = (
    Stage("raw_medical_o1", "corpus", "3", (), _source, _source_files),
    Stage("normalized_corpus", "corpus", "2", ("raw_medical_o1",), _section("normalize")),
    Stage("deduplicated_corpus", "corpus", "1", ("normalized_corpus",), _section("dedup")),
    Stage("corpus_splits", "corpus", "2", ("deduplicated_corpus",), _section("splits", "benchmark_dir"), _benchmarks),
    Stage("sft_dataset", "sft", "1", ("corpus_splits",), _section("sft")),
    Stage("base_model", "training", "1", (), _base_model, _base_model_files, loads_model=True),
    Stage(
        "qlora_adapter",
        "training",
        "4",
        ("sft_dataset", "corpus_splits", "base_model"),
        _training,
        loads_model=True,
    ),
    Stage(
        "perplexity_report",
        "evaluation",
        "4",
        ("qlora_adapter", "base_model", "corpus_splits"),
        _perplexity,
        _texts_and_exams,
        loads_model=True,
        meets_incumbent=lambda settings: True,
    ),
    Stage(
        "model_answers",
        "evaluation",
        "4",
        ("qlora_adapter", "base_model", "corpus_splits"),
        _answers,
        _prompts,
        loads_model=True,
        meets_incumbent=lambda settings: settings.answers.backend == "model",
    ),
    Stage("judgements", "evaluation", "5", ("model_answers",), _judgements),
    Stage("human_review", "evaluation", "3", ("judgements",), lambda settings: {}, _reviews),
    Stage(
        "eval_report",
        "evaluation",
        "5",
        ("perplexity_report", "model_answers", "judgements", "human_review", "qlora_adapter"),
        _section("report"),
    ),
    Stage(
        "promotion",
        "evaluation",
        "2",
        ("eval_report", "qlora_adapter"),
        _section("promotion"),
        meets_incumbent=lambda settings: True,
    ),
)
"""In an order in which every asset comes after its inputs."""

BY_ASSET: Mapping[str, Stage] = {stage.asset: stage for stage in STAGES}


def stage_of(asset: str) -> Stage:
    """The stage of an asset.

    Raises:
        MedcotError: no asset has that name.
    """
    if asset not in BY_ASSET:
        raise MedcotError(f"{asset}: no such asset{nearest(asset, BY_ASSET)}.", f"Assets: {', '.join(BY_ASSET)}.")
    return BY_ASSET[asset]


def downstream(assets: set[str]) -> set[str]:
    """The assets and everything after them."""
    result = set(assets)
    for stage in STAGES:
        if result & set(stage.inputs):
            result.add(stage.asset)
    return result


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The profile's name and settings, the project folder and the store that a pass works with."""

    profile: str
    settings: Settings
    root: Path
    store: ArtifactStore

    def inputs(self, asset: str) -> dict[str, Manifest]:
        """The current artifacts of the asset's inputs, each whole and accepted.

        Raises:
            MedcotError: an input was never materialised, or is damaged.
        """
        found = {}
        for upstream in stage_of(asset).inputs:
            manifest = self.store.current(upstream)
            if manifest is None:
                raise MedcotError(
                    f"{asset} needs {upstream}, which is not materialised.",
                    f"Run `medcot sync`, or `dagster asset materialize --select '*{asset}'`.",
                )
            found[upstream] = manifest
        return found

    def identity(self, asset: str, inputs: Mapping[str, Manifest]) -> Identity:
        """The asset's identity over artifacts of its inputs."""
        hashes = {name: manifest.content_hash for name, manifest in inputs.items()}
        return stage_of(asset).identity(self.settings, self.root, self.store.root, self.store.hashes, hashes)


def open_workspace(profile: str | None = None) -> Workspace:
    """The workspace that the environment describes.

    Raises:
        MedcotError: a setting is unknown or cannot be used.
    """
    root, data = project_root(), data_dir()
    return Workspace(profile_name(profile), load_settings(profile), root, ArtifactStore(data, root))
