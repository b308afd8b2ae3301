"""PLACEHOLDER until merged."""

from typing import Any

from medcot_pipeline.settings.models import Settings

LEFT_OUT = {
    "source": ("path", "incoming", "follow_hub"),
    "splits": ("benchmark_dir",),
    "training": ("max_gpu_memory_gb", "micro_batch_tokens", "checkpointing"),
    "perplexity": ("batch_size", "general_texts"),
    "answers": ("prompts", "endpoint"),
    "exams": ("folder",),
    "judge": ("api_key", "concurrency", "timeout_s", "max_retries"),
    "review": ("folder",),
}


def recorded(settings: Settings, *names: str) -> dict[str, Any]:
    """The settings that an artifact depends on, by their dotted names, as JSON values."""
    found: dict[str, Any] = {}
    for name in names:
        section, _, field = name.partition(".")
        if field:
            value: Any = getattr(settings, section)
            for part in field.split("."):
                value = getattr(value, part)
            found[name] = value
            continue
        left_out = set(LEFT_OUT.get(section, ()))
        model = getattr(settings, section)
        if section == "source" and settings.source.kind != "hub":
            left_out |= {"repository", "config", "revision"}
        if section == "base_model":
            keep = {
                "smollm2_wheel": (),
                "tiny_random": ("tiny_hidden", "tiny_layers", "seed"),
                "hub": ("repository", "revision"),
                "path": (),
            }[settings.base_model.kind]
            values = model.model_dump(mode="json", include={"kind", *keep})
        else:
            values = model.model_dump(mode="json", exclude=left_out)
        found |= {f"{section}.{key}": value for key, value in values.items()}
    return found
