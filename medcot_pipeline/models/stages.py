"""The model to tune.

Belongs here: the stage of the base model.
Does not belong here: weights and tokenizers (base.py).
"""

from medcot_pipeline.artifacts import FileLink, Markdown
from medcot_pipeline.models import checks
from medcot_pipeline.models.job import PrepareBase, prepare
from medcot_pipeline.models.origin.folder import model_files
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage


def base_model(run: Run) -> None:
    """The base model, pinned: where it lies, the sha256 of every file, and whether its tokenizer fits the format."""
    arguments = PrepareBase(
        settings=run.settings.base_model, out=run.path, cache=run.place.data / "cache", root=run.root
    )
    model = run.job(prepare, arguments)
    run.describe(
        name=model["name"],
        revision=model["revision"],
        parameters=model["parameters"],
        generation_prompt=Markdown(f"```\n{model['generation_prompt']}\n```"),
        files=FileLink("base_model.json"),
    )


def base_files(place: Place) -> list[OutsideFile]:
    """The files of a base model that lies in a folder."""
    settings = place.settings.base_model
    if settings.kind != "path" or settings.path is None:
        return []
    return [OutsideFile("base model", path, path.name) for path in model_files(place.root / settings.path)]


STAGES = (
    Stage(
        "base_model",
        group="training",
        kinds=("pytorch", "huggingface"),
        code_version="1",
        make=base_model,
        checks=checks.BASE,
        settings=("base_model",),
        files=base_files,
        loads_model=True,
    ),
)
