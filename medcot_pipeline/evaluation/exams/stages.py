"""What base and tuned model know of medicine, by exams.

Without exams nothing is asked, and the report says so.

Belongs here: the stages that ask one model each, and the one that compares them.
Does not belong here: asking (asking.py), reading exams (files.py).
"""

from pathlib import Path

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.exams import checks
from medcot_pipeline.evaluation.exams.asking import AskedQuestion, ExamAnswer
from medcot_pipeline.evaluation.exams.files import exam_files, require_exams
from medcot_pipeline.evaluation.exams.job import ANSWERS, QUESTIONS, AskExams, ask
from medcot_pipeline.evaluation.exams.scores import exam_scores, score_rows
from medcot_pipeline.pipeline.alike import MADE_WITH
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.settings import engine_settings
from medcot_pipeline.support.json_files import read_json, write_json, write_model
from medcot_pipeline.support.table_files import read_jsonl

GROUP = "evaluation"
LEFT_OUT = "left_out.json"
KEPT_ORDER = "kept_order.json"


def base_exams(run: Run) -> None:
    """The base model's answers to exam questions, written once for all adapters; empty if no exams are set."""
    _measure(run, None)


def tuned_exams(run: Run) -> None:
    """The answers of the base model with the adapter to the same exam questions."""
    _measure(run, run.input("qlora_adapter"))


def _measure(run: Run, adapter: Path | None) -> None:
    settings = run.settings.exams
    asked: dict[str, object] = {"left_out": [], "kept_order": [], "made_with": {}}
    if settings.folder is None:
        for name in (ANSWERS, QUESTIONS):
            (run.path / name).write_text("", encoding="utf-8")
    else:
        files = exam_files(run.settings, run.root)
        require_exams(settings.folder, files)
        arguments = AskExams(
            settings=settings,
            inference=engine_settings(run.settings),
            base_model=run.input("base_model"),
            adapter=adapter,
            hashes=run.place.store.hashes.memory,
            splits=run.input("corpus_splits") / "rows.parquet",
            files=files,
            out=run.path,
            work=run.work,
        )
        asked = run.job(ask, arguments)
    write_json(run.path / MADE_WITH, asked["made_with"])
    write_json(run.path / LEFT_OUT, asked["left_out"])
    write_json(run.path / KEPT_ORDER, asked["kept_order"])
    answers = read_jsonl(run.path / ANSWERS, ExamAnswer)
    run.describe(
        status="measured" if settings.folder else "not measured",
        questions=len({(answer.exam, answer.id) for answer in answers}),
        given_answers=len(answers),
        right=sum(answer.right for answer in answers),
        share_right=sum(answer.right for answer in answers) / len(answers) if answers else None,
        truncated=sum(not answer.finished for answer in answers),
        unparsed=sum(answer.chosen is None for answer in answers),
        answers=FileLink(ANSWERS),
    )


def exam_report(run: Run) -> None:
    """The exam scores of both models, or "not measured" if no exams are set."""
    base, tuned = run.input("base_exams"), run.input("tuned_exams")
    questions = read_jsonl(base / QUESTIONS, AskedQuestion)
    exams = Exams()
    if questions:
        by_base, by_tuned = (read_jsonl(folder / ANSWERS, ExamAnswer) for folder in (base, tuned))
        scores = exam_scores(by_base, by_tuned, questions)
        exams = Exams(
            status="measured",
            scores=tuple(scores),
            left_out=tuple(read_json(base / LEFT_OUT)),
            kept_order=tuple(read_json(base / KEPT_ORDER)),
        )
        run.describe(scores=Table(score_rows(scores)))
    write_model(run.path / "exams.json", exams)
    run.describe(status=exams.status, questions=len(questions))


def exams_outside(place: Place) -> list[OutsideFile]:
    """The files of exams."""
    return [OutsideFile("exam", path, path.name) for path in exam_files(place.settings, place.root)]


STAGES = (
    Stage(
        "base_exams",
        group=GROUP,
        kinds=("pytorch",),
        code_version="3",
        make=base_exams,
        checks=checks.MEASURED,
        inputs=("base_model", "corpus_splits"),
        settings=("exams",),
        files=exams_outside,
        loads_model=True,
    ),
    Stage(
        "tuned_exams",
        group=GROUP,
        kinds=("pytorch",),
        code_version="3",
        make=tuned_exams,
        checks=checks.MEASURED,
        inputs=("qlora_adapter", "base_model", "corpus_splits"),
        settings=("exams",),
        files=exams_outside,
        loads_model=True,
    ),
    Stage(
        "exam_report",
        group=GROUP,
        code_version="2",
        make=exam_report,
        checks=checks.COMPARED,
        inputs=("base_exams", "tuned_exams"),
        loads_model=True,  # where the older measure is made again
        compares=("base_exams", "tuned_exams"),
    ),
)
