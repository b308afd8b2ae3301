"""Settings of the training run."""

from typing import Annotated, Literal

from pydantic import Field

from medcot_pipeline.settings.section import NOT_IDENTITY, Count, OnlyFor, Section, Share


class TrainingSettings(Section):
    """QLoRA: NF4 base with double quantisation, LoRA on all linear modules.

    An optimiser step has `per_device_train_batch_size` x `gradient_accumulation_steps` rows, however it is cut.
    """

    engine: Literal["auto", "hf", "unsloth"] = Field("auto", description="auto takes unsloth where it is installed")
    lora_rank: Count = Field(8, description="rank of the LoRA matrices")
    lora_alpha: Count = Field(16, description="the adapter's output is scaled by lora_alpha / lora_rank")
    lora_dropout: Share = Field(0.0, description="share of the adapter's inputs set to 0 while training")
    learning_rate: float = Field(1e-4, gt=0.0, lt=1.0, description="highest learning rate, after warm-up")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="course of the learning rate after warm-up"
    )
    warmup_share: Share = Field(0.10, description="share of the optimiser steps that warm up")
    epochs: float = Field(1.0, gt=0.0, description="passes over the training rows; parts of one are allowed")
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
    max_grad_norm: float = Field(1.0, gt=0.0, description="norm to which larger gradients are scaled down")
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
    seed: int = Field(42, description="of the adapter's first weights and the order of rows")


class TrackingSettings(Section):
    """Weights & Biases; changes nothing that is computed."""

    wandb_mode: Literal["offline", "online", "disabled"] = Field(
        "offline", description="offline logs to data/wandb, online to your account too, disabled not at all"
    )
    wandb_project: Annotated[str, OnlyFor("wandb_mode", ("offline", "online"))] = Field(
        "medcot", description="project that the runs are logged under"
    )
