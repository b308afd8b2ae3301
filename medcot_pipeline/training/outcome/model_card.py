"""The model card that lies beside an adapter.

It holds nothing that differs between two runs of the same fingerprint.

Belongs here: its wording.
Does not belong here: figures of the evaluation, which has its own report.
"""

from collections.abc import Mapping
from typing import Any

USE = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
base = AutoModelForCausalLM.from_pretrained("{name}", revision="{revision}", quantization_config=nf4)
model = PeftModel.from_pretrained(base, "PATH OF THIS FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH OF THIS FOLDER")
prompt = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "..."}}], add_generation_prompt=True, return_tensors="pt"
)
```"""


def model_card(summary: Mapping[str, Any]) -> str:
    """The card, from the run's summary."""
    base, settings = summary["base"], summary["settings"]
    rows = settings["per_device_train_batch_size"] * settings["gradient_accumulation_steps"]
    return (
        "\n\n".join(
            [
                "---\nlibrary_name: peft\nlicense: other\ntags: [medical, reasoning, qlora]\n---",
                f"# QLoRA adapter for {base['name']}",
                f"Base: {base['name']}, revision {base['revision']}, loaded in NF4 with double quantisation. LoRA of "
                f"rank {settings['lora_rank']}, alpha {settings['lora_alpha']}, dropout {settings['lora_dropout']} on "
                f"all linear layers: {summary['adapter_parameters']:,} parameters.",
                f"Trained on {summary['rows']:,} rows ({summary['tokens']:,} tokens; {summary['rows_too_long']:,} rows "
                f"were too long) in {summary['optimizer_steps']:,} optimiser steps of {rows} rows: learning rate "
                f"{settings['learning_rate']:g} ({settings['schedule']}, {settings['warmup_share']:.0%} warm-up), "
                f"{settings['epochs']:g} epochs, seed {settings['seed']}. The loss counts reasoning and answer alone. "
                f"The published weights are those of the best validation loss among the run's checkpoints.",
                "The prompt is the tokenizer's own generation prompt; the output is `<think>`, reasoning, `</think>`, "
                "answer.",
                USE.format(name=base["name"], revision=base["revision"]),
                "Merge it into the base in bfloat16, not in 4 bits: merged 4-bit weights are rounded twice.",
                "Research software. Not for clinical use: its answers are not medical advice and were not clinically "
                "validated. The training data's reasoning was written by a language model and is largely unreviewed.",
            ]
        )
        + "\n"
    )
