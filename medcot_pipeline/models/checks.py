"""What must hold of a base model before it is used.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json


def tokenizer_fits(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Text comes back whole from the tokens, and the prompt is the tokenizer's own generation prompt."""
    problems = read_json(folder / "base_model.json")["tokenizer_problems"]
    return not problems, f"{'; '.join(problems) if problems else 'the tokenizer fits the format'}."


def has_weights(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """There are safetensors with parameters."""
    model = read_json(folder / "base_model.json")
    named = [name for name in model["files"] if name.endswith(".safetensors")]
    return bool(named) and model["parameters"] > 0, f"{model['parameters']:,} parameters in {len(named)} files."


BASE = (
    Check("tokenizer_fits", "Does the tokenizer fit the format?", tokenizer_fits),
    Check("has_weights", "Are there weights?", has_weights),
)
