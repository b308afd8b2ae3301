"""The executor: every step in the run's own process, which the run's tags name.

Dagster's executor of the same kind leaves no trace of its process that would survive a crash, and says nothing of whom
it waits for; while it waits for a pool's slot it also keeps a core busy.

Belongs here: how a run executes its steps, and waits.
Does not: proving a process dead (processes.py), mending (doctor.py).
"""

import time
from collections.abc import Iterator

import dagster as dg
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import DagsterEvent
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from medcot_pipeline.orchestration.instance.doctor import holders, mend_runs
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process
from medcot_pipeline.support.progress import duration

LOOK_AGAIN_SECONDS = 0.5
SAY_AGAIN_SECONDS = 60.0


class RunExecutor(InProcessExecutor):
    """Steps one after the other in this process, which is written into the run's tags before any step takes a slot."""

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run the plan's steps; yields their events."""
        plan_context.instance.add_run_tags(plan_context.run_id, {PROCESS_TAG: Process.own().to_tag()})
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=_run_steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )


@dg.executor(name="in_process")
def run_executor(context: dg.InitExecutorContext) -> RunExecutor:
    """The executor of every job."""
    return RunExecutor(retries=RetryMode.ENABLED)


def _run_steps(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
    with PoolSlots(job_context) as slots:
        yield from inner_plan_execution_iterator(job_context, execution_plan, slots)


class PoolSlots(InstanceConcurrencyContext):
    """A run's slots of pools: while another run holds one, it says who, and frees it where that run's process died."""

    def __init__(self, context: PlanExecutionContext) -> None:
        """Args: context: of the run that takes the slots."""
        super().__init__(context.instance, context.dagster_run)
        self._context = context
        self._waiting: dict[str, float] = {}
        self._said = 0.0

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Take a slot of a pool; False where none is free."""
        tries = self._pending_claim_counts[step_key]
        if super().claim(concurrency_key, step_key, step_priority):
            return True
        if self._pending_claim_counts[step_key] > tries:  # Dagster did ask the storage, which it does ever more seldom
            for line in mend_runs(self._context.instance):
                self._context.log.info(line)
            self._say(concurrency_key, step_key)
        with raise_execution_interrupts():  # Ctrl-C, which nothing else looks for while a run waits
            return False

    def interval_to_next_pending_claim_check(self) -> float:
        """Seconds to sleep before the next look; Dagster's own formula is never above 0, which makes a busy loop."""
        return LOOK_AGAIN_SECONDS

    def _say(self, pool: str, step_key: str) -> None:
        now = time.monotonic()
        since = self._waiting.setdefault(step_key, now)
        if since < now < self._said + SAY_AGAIN_SECONDS:
            return
        who = ", ".join(holders(self._context.instance, pool)) or "a run that has just ended"
        waited = f", for {duration(now - since)} now" if since < now else ""
        self._context.log.info(f"{step_key}: waiting for the pool {pool}, which is held by {who}{waited}")
        self._said = now
