"""What must hold of grades before they are published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.evaluation.rubrics.files import AXES
from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.rubrics.graded import Graded, read_rubric_record
from medcot_pipeline.records.rubrics.rubric import Grade
from medcot_pipeline.support.table_files import read_jsonl

MOST_UNGRADABLE = 0.1
NOTHING = {"not configured": "No AI judge is configured.", "no rubric": "No prompt that was asked has a rubric."}


def every_answer_graded(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Every answer to a prompt with a rubric has a grade by each criterion, or a reason why not."""
    record = read_rubric_record(folder / "rubric.json")
    if not isinstance(record, Graded):
        return True, NOTHING[record.status]
    grades = read_jsonl(folder / "grades.jsonl", Grade)
    criteria: dict[tuple[str, str], set[str]] = {}
    for grade in grades:
        criteria.setdefault((grade.prompt_id, grade.arm), set()).add(grade.criterion)
    rubrics = {prompt: found for (prompt, _), found in criteria.items()}
    answers = read_jsonl(inputs["model_answers"] / "answers.jsonl", Answer)
    expected = [(answer.prompt_id, answer.arm) for answer in answers if answer.prompt_id in rubrics]
    whole = all(criteria.get(key) == rubrics[key[0]] for key in expected) and len(rubrics) == record.prompts
    told = all((grade.met is None) == bool(grade.ungradable) and grade.axis in AXES for grade in grades)
    return whole and told, f"{len(grades):,} grades of {len(criteria):,} answers to {record.prompts:,} prompts."


def most_criteria_gradable(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most a tenth of the criteria could not be graded."""
    record = read_rubric_record(folder / "rubric.json")
    if not isinstance(record, Graded):
        return True, NOTHING[record.status]
    ungradable, criteria = (sum(getattr(arm, name) for arm in record.arms) for name in ("ungradable", "criteria"))
    again = f" {record.calls.failed:,} calls were refused: `medcot sync --force rubric_grades` asks them again."
    return ungradable <= MOST_UNGRADABLE * criteria, (
        f"{ungradable:,} of {criteria:,} criteria could not be graded.{again if record.calls.failed else ''}"
    )


def grader_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The grader sees through the probes and grades alike when asked again, or nothing was graded."""
    record = read_rubric_record(folder / "rubric.json")
    if not isinstance(record, Graded):
        return True, NOTHING[record.status]
    failed = [f"{gate.gate} {gate.share.value:.0%} of {gate.n:,}" for gate in record.gates if gate.passed is False]
    return not failed, f"Failed: {', '.join(failed)}." if failed else "Every gate passed."


RUBRIC_GRADES = (
    Check("every_answer_graded", "Is every answer to a prompt with a rubric graded or counted?", every_answer_graded),
    Check("most_criteria_gradable", "Could most criteria be graded?", most_criteria_gradable, blocking=False),
    Check("grader_passes_its_gates", "Can the grader be trusted?", grader_passes_its_gates, blocking=False),
)
