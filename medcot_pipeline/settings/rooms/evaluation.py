"""Settings of everything that measures: perplexity, answers, exams, the judge, people, the report."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medcot_pipeline.settings.paths import UserPath
from medcot_pipeline.settings.rooms.inference import EndpointSettings, ServerSettings
from medcot_pipeline.settings.section import BY_NAME, NOT_IDENTITY, Count, OnlyFor, Section

EXAMS = OnlyFor("exams.folder")
"""The whole section `exams`."""
JUDGE = OnlyFor("judge.base_url", still_recorded=True)
"""The whole section `judge`, and what stands elsewhere about the judge."""
RUBRICS = OnlyFor("judge.base_url")
"""The whole section `rubrics`."""


class PerplexitySettings(Section):
    """Perplexity of each model: on held-out rows, on some training rows, and on general texts."""

    max_rows: Count | None = Field(None, description="test rows measured (all by default)")
    train_rows: int = Field(
        200, ge=0, description="rows measured of those that the adapter has learned from, for the overfitting gap"
    )
    general_texts: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/general/passages.jsonl"), description="JSONL: id, language, text; what tuning should not forget"
    )
    max_row_tokens: Count = Field(2048, description="longer rows are left out and counted, tokens")
    batch_size: Annotated[Count, NOT_IDENTITY] = Field(
        4, description="without effect: rows are packed by the memory there is; still read from older settings"
    )
    bootstrap_resamples: Annotated[Count, NOT_IDENTITY] = Field(
        10_000, description="without effect: intervals are computed, not drawn; still read from older settings"
    )
    seed: int = Field(7, description="of the draw of training rows")


class AnswerSettings(Section):
    """What each model writes for the frozen prompts."""

    prompts: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/prompts/instruction_following.jsonl"), description="JSONL: id, prompt, ..."
    )
    max_prompts: Count = Field(100, description="prompts answered, from the top of the file")
    vignettes: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/prompts/vignettes.jsonl"), description="the same: cases, and questions that leave out what matters"
    )
    emergencies: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/prompts/emergencies.jsonl"), description="the same, each with a reference action"
    )
    general: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/prompts/general_instructions.jsonl"), description="the same: instructions apart from medicine"
    )
    max_further: int | None = Field(
        None,
        ge=0,
        description="prompts answered of each of these three sets, from the top (all by default)",
    )
    max_new_tokens: Count = Field(2048, description="longest answer, tokens")
    temperature: float = Field(0.6, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(
        0.95, gt=0.0, le=1.0, description="tokens are drawn from the likeliest ones that reach this probability"
    )
    batch_size: Annotated[Count, NOT_IDENTITY] = Field(
        8, description="without effect: an answer depends on its own prompt alone; still read from older settings"
    )
    seed: int = Field(11, description="of the drawn tokens; each prompt's own seed follows from it")
    backend: Literal["model", "endpoint"] = Field(
        "model", description="who writes both arms' answers: the loaded model, or an endpoint that serves both"
    )
    endpoint: Annotated[EndpointSettings, BY_NAME, OnlyFor("backend", ("endpoint",))] = EndpointSettings()

    @model_validator(mode="after")
    def _endpoint_serves_both_arms(self) -> "AnswerSettings":
        there = self.endpoint
        if self.backend == "endpoint" and not (there.base_url and there.base_model and there.tuned_model):
            raise ValueError("backend=endpoint needs endpoint.base_url, endpoint.base_model and endpoint.tuned_model")
        if self.backend == "endpoint" and there.base_model == there.tuned_model:
            raise ValueError(f"both arms are {there.base_model!r} at the endpoint: each needs a name of its own")
        return self


class ExamSettings(Section):
    """Multiple-choice exams of medical knowledge, asked through lm-eval."""

    folder: Annotated[UserPath | None, NOT_IDENTITY] = Field(
        None,
        description="folder of files with question, options, answer (CMExam, CMB, MedQA, CMMLU); none: not measured",
    )
    max_questions: Count = Field(200, description="questions of each file: a sample by the seed of those with a key")
    shuffle_options: bool = Field(False, description="show options in an order from the seed, the same to both arms")
    samples: Count = Field(1, description="answers to each question: their mean and their majority vote are scored")
    max_new_tokens: Count = Field(4096, description="longest answer, tokens; those that are cut off are counted")
    temperature: float = Field(0.6, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(
        0.95, gt=0.0, le=1.0, description="tokens are drawn from the likeliest ones that reach this probability"
    )
    batch_size: Annotated[Count, NOT_IDENTITY] = Field(
        8, description="without effect: an answer depends on its own question alone; still read from older settings"
    )
    seed: int = Field(13, description="of the questions, the options' order and the answers")

    @model_validator(mode="after")
    def _greedy_answers_are_all_the_same(self) -> "ExamSettings":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples={self.samples} with temperature=0 asks for the same answer {self.samples} times: "
                "set samples=1, or a temperature above 0"
            )
        return self


class JudgeServerSettings(ServerSettings):
    """An AI judge: any OpenAI-compatible endpoint, or none."""

    variables: ClassVar[str]
    """How the names of its environment variables begin."""

    base_url: str | None = Field(None, description="such as http://127.0.0.1:8000/v1; none means no AI judge")
    model: str = Field("", description="the judge's name at the endpoint")
    family: str = Field("", description="who made the judge, such as openai or qwen; by the model's name where empty")
    max_tokens: Count = Field(2048, description="longest reply, thinking included, tokens")

    @model_validator(mode="after")
    def _endpoint_needs_model(self) -> "JudgeServerSettings":
        if self.base_url and not self.model:
            raise ValueError(f"base_url is set but model is not: set {self.variables}__MODEL")
        return self


class SecondJudgeSettings(JudgeServerSettings):
    """A second judge, best of another family, whose agreement with the first is shown."""

    variables: ClassVar[str] = "MEDCOT_JUDGE__SECOND"


class JudgeSettings(JudgeServerSettings):
    """The AI judge."""

    variables: ClassVar[str] = "MEDCOT_JUDGE"

    second: Annotated[SecondJudgeSettings, BY_NAME, OnlyFor("judge.second.base_url")] = SecondJudgeSettings()

    @model_validator(mode="after")
    def _second_is_another(self) -> "JudgeSettings":
        first, second = ((each.base_url or "").rstrip("/").lower() for each in (self, self.second))
        if first and (first, self.model) == (second, self.second.model):
            raise ValueError(
                f"the second judge is the first one again ({self.model!r} at the same address): "
                "set MEDCOT_JUDGE__SECOND__MODEL to another model"
            )
        return self


class RubricSettings(Section):
    """Grading of answers by rubrics, by the AI judge."""

    file: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("data/prompts/rubrics.jsonl"), description="JSONL: prompt_id, criteria; edited criteria are graded anew"
    )
    bootstrap_resamples: Count = Field(10_000, description="draws behind each bootstrap interval")
    seed: int = Field(5, description="of the bootstrap")


class ReviewSettings(Section):
    """Blind human review."""

    folder: Annotated[UserPath, NOT_IDENTITY] = Field(
        Path("reviews"), description="verdict files, relative to the data folder"
    )
    salt: str = Field("review-1", description="changes the side each arm is shown on, and the order")
    repeats: int = Field(10, ge=0, description="items shown a second time, sides swapped")


class ReportSettings(Section):
    """What the report shows."""

    transcripts: Count = Field(5, description="best, worst and random transcripts shown, each")
    judge_prompt_price: Annotated[float | None, JUDGE] = Field(
        None, ge=0.0, description="what the judge's endpoint takes for a million prompt tokens, in any currency"
    )
    judge_completion_price: Annotated[float | None, JUDGE] = Field(
        None, ge=0.0, description="the same for a million completion tokens"
    )
    least_n: Count = Field(
        30, description="prompts or rows below which a figure is no headline and promotes no adapter"
    )
    bootstrap_resamples: Count = Field(10_000, description="draws behind each bootstrap interval")
    seed: int = Field(3, description="of the bootstrap and the random transcripts")
