"""Writing the answers before it starts, on a machine that may have no GPU: what `medcot plan` prints of it.

Belongs here: what is known of prompts, base and device without loading a model.
Does not: the plan itself (inference/local/plan.py), which the stages make again from what they find.
"""

from medcot_pipeline.compute.gpu_lock import gpu_is_here
from medcot_pipeline.evaluation.answers.prompts import asked_prompts
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import engine_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.plan.outlook import planned_device, wanted_shape


def answer_lines(workspace: Workspace) -> list[str]:
    """What writing the answers of either arm would be: lines for people.

    A prompt is taken to have a token for each character, which is more than it has.
    """
    settings, engine = workspace.settings, engine_settings(workspace.settings)
    if settings.answers.backend == "endpoint":
        return [f"asked of {settings.answers.endpoint.base_url}"]
    lines = {line.asset: line for line in make_plan(workspace)}
    shape = wanted_shape(workspace, lines["base_model"])
    if shape is None:
        return ["planned once there is base_model"]
    most = settings.answers.max_new_tokens
    try:
        prompts = asked_prompts(settings.answers, workspace.root)
        longest = max(len(prompt.prompt) for prompt in prompts) + most
        device = planned_device(engine.max_gpu_memory_gb, gpu_here=gpu_is_here())
        plans = {
            arm: plan_engine(shape, device, engine, longest, lora_rank=rank, nf4=True)
            for arm, rank in (("base_answers", 0), ("tuned_answers", settings.training.lora_rank))
        }
    except MedcotError as error:
        return [str(error)]
    tokens = len(prompts) * most
    return [f"{arm}: {tokens:,} tokens at most; {line}" for arm, plan in plans.items() for line in plan.lines(tokens)]
