"""Settings of the servers that are asked, and of the engine that writes in this process."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from medcot_pipeline.settings.keys import Key, address_problem
from medcot_pipeline.settings.section import NOT_IDENTITY, Count, Section


class ServerSettings(Section):
    """A server that speaks OpenAI's protocol, and how patiently it is asked."""

    base_url: str | None = Field(None, description="such as http://127.0.0.1:8000/v1")
    api_key: Annotated[Key, NOT_IDENTITY] = Field(
        SecretStr("none"), description="from the environment only; never stored; empty: none is sent"
    )
    concurrency: Annotated[Count, NOT_IDENTITY] = Field(4, description="calls in flight")
    timeout_s: Annotated[float, NOT_IDENTITY] = Field(60.0, gt=0.0, description="seconds for one try of a call")
    max_retries: Annotated[int, NOT_IDENTITY] = Field(
        3, ge=0, le=10, description="further tries after a failed one, with growing pauses"
    )

    @field_validator("base_url")
    @classmethod
    def _trimmed(cls, url: str | None) -> str | None:
        return url and url.strip()

    @model_validator(mode="after")
    def _address_alone(self) -> "ServerSettings":
        if self.base_url:
            problem = address_problem(self.base_url)
            if problem:
                raise ValueError(f"base_url {problem}")
        return self


class EndpointSettings(ServerSettings):
    """An OpenAI-compatible endpoint that serves both arms, each under a name of its own."""

    base_model: str = Field("", description="name of the base model there")
    tuned_model: str = Field("", description="name of the base model with the adapter there")
    concurrency: Annotated[Count, NOT_IDENTITY] = Field(8, description="calls in flight")
    timeout_s: Annotated[float, NOT_IDENTITY] = Field(600.0, gt=0.0, description="seconds for one try of a call")


class LocalEngineSettings(Section):
    """How much the engine of this process takes; it changes speed and memory, not what is asked."""

    max_gpu_memory_gb: Annotated[float | None, NOT_IDENTITY] = Field(
        None, gt=0.0, description="GPU memory that may be used, 10^9 bytes; none: as training.max_gpu_memory_gb"
    )
    rows: Annotated[Count | None, NOT_IDENTITY] = Field(
        None, description="requests written at once at most; none: 128 on a GPU, 16 on a CPU; 8 by transformers itself"
    )
