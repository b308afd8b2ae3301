"""Settings of the training run."""

from typing import Annotated, Literal

from pydantic import Field

from medcot_pipeline.settings.section import NOT_IDENTITY, Count, OnlyFor, Section, Share


class TrainingSettings(Section):
    """QLoRA: NF4 base with double quantisation, LoRA on all linear modules.

    An optimiser step has `per_device_train_batch_size` x `gradient_accumulation_steps` rows, however it is cut.
    """

    engine: Literal["auto", "hf", "unsloth"] = Field("auto", description="auto takes unsloth where it is installed")
    lora_rank: Count = 8
    lora_alpha: Count = 16
    lora_dropout: Share = 0.0
    learning_rate: float = Field(1e-4, gt=0.0, lt=1.0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: Share = Field(0.10, description="share of the optimiser steps that warm up")
    epochs: float = Field(1.0, gt=0.0)
    per_device_train_batch_size: Count = Field(24, description="rows in a micro-batch of batching=rows")
    gradient_accumulation_steps: Count = Field(2, description="micro-batches in an optimiser step of batching=rows")
    batching: Literal["auto", "rows", "tokens", "packed"] = Field(
        "auto",
        description="how a step's rows are cut: a fixed number of rows, rows of like length under a token budget, or "
        "packed behind one another under that budget; auto packs where the GPU has a kernel for it, else tokens",
    )
    # The same steps, cut otherwise: memory is no part of what is learned.
    micro_batch_tokens: Annotated[Count | None, NOT_IDENTITY] = Field(
        None, description="token budget of a micro-batch (planned by default)"
    )
    checkpointing: Annotated[Literal["auto", "none", "some", "all", "offloaded"], NOT_IDENTITY] = Field(
        "auto", description="layers that the backward pass computes again, to save memory (planned by default)"
    )
    max_train_tokens: Count | None = Field(None, description="stop adding rows at this many tokens (all by default)")
    max_row_tokens: Count | None = Field(None, description="longest row, tokens (sft.max_tokens by default)")
    too_long: Literal["drop", "fail"] = Field("drop", description="rows above max_row_tokens: left out and counted")
    max_grad_norm: float = Field(1.0, gt=0.0)
    checkpoint_share: Annotated[float, OnlyFor("checkpoint_steps", (None,), still_recorded=True)] = Field(
        0.10, gt=0.0, le=1.0, description="share of the run between checkpoints"
    )
    checkpoint_steps: Count | None = Field(None, description="optimiser steps between checkpoints, instead")
    validation_rows: Count = Field(64, description="validation rows measured at each checkpoint, at most")
    early_stopping_checkpoints: Count | None = Field(
        None, description="stop after so many checkpoints without a better validation loss (never by default)"
    )
    max_gpu_memory_gb: Annotated[float | None, NOT_IDENTITY] = Field(
        None, gt=0.0, description="GPU memory to stay under, GB (all by default)"
    )
    seed: int = 42


class TrackingSettings(Section):
    """Weights & Biases; changes nothing that is computed."""

    wandb_mode: Literal["offline", "online", "disabled"] = "offline"
    wandb_project: Annotated[str, OnlyFor("wandb_mode", ("offline", "online"))] = "medcot"
