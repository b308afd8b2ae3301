"""What must hold of the AI judge's verdicts.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json


def judge_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The judge holds its verdicts, sees through the probes and answers, or there is no judge."""
    judge = read_json(folder / "judge.json")
    if judge["status"] != "judged":
        return True, "No AI judge is configured."
    gates = [gate for gate in judge["gates"] if gate["passed"] is False]
    failed = [f"{gate['gate']} {gate['value']:.0%} of {gate['n']:,}" for gate in gates]
    refused = judge["calls"]["failed"]
    again = f" {refused:,} calls were refused: `medcot sync --force judgements` asks them again."
    said = f"Failed: {', '.join(failed)}." if failed else "Every gate passed."
    return not failed and not refused, said + (again if refused else "")


JUDGEMENTS = (Check("judge_passes_its_gates", "Can the judge be trusted?", judge_passes_its_gates, blocking=False),)
