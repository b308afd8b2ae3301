"""What must hold of the AI judge's verdicts.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.judgement import failed_gates, read_judge


def judge_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The judge holds its verdicts, sees through the probes and answers, or there is no judge."""
    judge = read_judge(folder / "judge.json")
    if judge.status != "judged":
        return True, "No AI judge is configured."
    failed = failed_gates(judge)
    said = [f"Not passed: {'; '.join(gate.said() for gate in failed)}." if failed else "Every gate passed."]
    if judge.calls.failed:
        said.append(f"{judge.calls.failed:,} calls were refused: `medcot sync --force judgements` asks them again.")
    return not failed and not judge.calls.failed, " ".join(said)


JUDGEMENTS = (Check("judge_passes_its_gates", "Can the judge be trusted?", judge_passes_its_gates, blocking=False),)
