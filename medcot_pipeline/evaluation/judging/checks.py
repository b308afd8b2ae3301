"""What must hold of the AI judge's verdicts.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.judgement import Judged, failed_gates, read_judge, read_second_judge


def judge_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The judge passes every gate, or there is no judge."""
    judge = read_judge(folder / "judge.json")
    return _passes(judge) if judge.status == "judged" else (True, "No AI judge is configured.")


def second_judge_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The same of the second judge, or there is none."""
    judge = read_second_judge(folder)
    return _passes(judge) if judge else (True, "No second judge is configured.")


def _passes(judge: Judged) -> tuple[bool, str]:
    failed = failed_gates(judge)
    said = [f"Not passed: {'; '.join(gate.said() for gate in failed)}." if failed else "Every gate passed."]
    if judge.calls.failed:
        said.append(f"{judge.calls.failed:,} calls were refused: `medcot sync --force judgements` asks them again.")
    return not failed and not judge.calls.failed, " ".join(said)


JUDGEMENTS = (
    Check("judge_passes_its_gates", "Can the judge be trusted?", judge_passes_its_gates, blocking=False),
    Check("second_judge_passes_its_gates", "Can the second judge?", second_judge_passes_its_gates, blocking=False),
)
