"""What `medcot plan` says about writing in this process, on a machine that may have no GPU.

Belongs here: what is known of base and device without loading a model, and the lines of both arms.
Does not belong here: which requests a stage has (answers/outlook.py, exams/outlook.py), the plan itself
(inference/local/plan.py), which the stages make again from what they find.
"""

from collections.abc import Mapping, Sequence

from medcot_pipeline.compute.gpus import gpu_is_here
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.local.rows import Row, longest_first
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import planned_device
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import engine_settings
from medcot_pipeline.training.plan.outlook import wanted_shape


def writing_lines(
    workspace: Workspace,
    plan: Mapping[str, PlanLine],
    prompts: Sequence[str],
    most: int,
    stages: tuple[str, str],
    limited_by: str,
) -> list[str]:
    """A line for each arm: tokens, memory, expected time.

    A prompt is taken to have a token for each character, which is more than it has.

    Args:
        workspace: settings and artifacts.
        plan: the line of every asset.
        prompts: one for each request.
        most: most tokens of an answer.
        stages: that write, of the base and of the tuned model.
        limited_by: the setting that says `most`.

    Raises:
        MedcotError: the device is too small.
    """
    settings, engine = workspace.settings, engine_settings(workspace.settings)
    shape = wanted_shape(workspace, plan["base_model"])
    if shape is None:
        return ["not planned yet: needs base_model"]
    requests = [Request(str(n), (0,) * len(text), Sampling(), 0, most) for n, text in enumerate(prompts)]
    rows = [Row(request) for request in longest_first(requests)]
    longest = max(len(text) for text in prompts) + most
    device = planned_device(engine.max_gpu_memory_gb, gpu_here=gpu_is_here())
    lines = []
    for stage, rank in zip(stages, (0, settings.training.lora_rank), strict=True):
        made = plan_engine(shape, device, engine, longest, lora_rank=rank, nf4=True, limited_by=limited_by)
        lines.append(f"{stage}: {len(rows) * most:,} tokens at most; {made.line(made.ahead(rows))}")
    return lines
