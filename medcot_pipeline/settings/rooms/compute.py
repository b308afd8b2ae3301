"""Settings of where models compute."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from medcot_pipeline.settings.section import NOT_IDENTITY, Count, Section


class ComputeSettings(Section):
    """How many GPUs of this machine training takes; changes speed, not what is learned."""

    gpus: Annotated[Literal["auto"] | Count, NOT_IDENTITY] = Field(
        1, description="GPUs that train together; auto takes all that are visible; everything else takes one"
    )

    @field_validator("gpus", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        if value != "auto" and not (str(value).isdecimal() and int(value) >= 1):
            raise ValueError("a whole number, at least 1, or auto")
        return value
