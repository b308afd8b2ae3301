"""Settings of the corpus: its source, normalisation, duplicates and splits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from medcot_pipeline.settings.paths import UserPath
from medcot_pipeline.settings.section import NOT_IDENTITY, Count, OnlyFor, Section, Share

Action = Literal["drop", "flag", "ignore"]
HUB = OnlyFor("kind", ("hub",))
NEAR_DUPLICATES = OnlyFor("near_duplicates", (True,), still_recorded=True)
PARAPHRASES = OnlyFor("paraphrases", (True,), still_recorded=True)
BENCHMARKS = OnlyFor("benchmark_dir", still_recorded=True)


class FieldNames(Section):
    """Names of the three fields in the source rows."""

    question: str = Field("Question", description="field of the question")
    reasoning: str = Field("Complex_CoT", description="field of the reasoning")
    answer: str = Field("Response", description="field of the answer")

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
    path: Annotated[UserPath | None, NOT_IDENTITY, OnlyFor("kind", ("file",))] = Field(
        None, description="file of rows: .json (an array), .jsonl, .ndjson, .csv or .parquet, also with .gz"
    )
    repository: Annotated[str, HUB] = Field(
        "FreedomIntelligence/medical-o1-reasoning-SFT", description="data set on the hub"
    )
    config: Annotated[Literal["zh", "en", "zh_mix", "en_mix"], HUB] = Field(
        "zh", description="configuration of the data set"
    )
    revision: Annotated[str, HUB] = Field(
        "fc2c9e8a37b38f38da6d449564a8c350b244aef4",
        pattern=r"^[0-9a-f]{40}$",
        description="commit of the data set, 40 hexadecimal digits",
    )
    follow_hub: Annotated[bool, NOT_IDENTITY, HUB] = Field(
        False, description="read the newest revision that the sensor has seen, once it has seen one"
    )
    incoming: Annotated[UserPath, NOT_IDENTITY] = Field(
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
    jaccard: Annotated[Share, NEAR_DUPLICATES] = Field(
        0.60, description="least Jaccard similarity of character 3-grams of a near-duplicate"
    )
    edit_similarity: Annotated[Share, NEAR_DUPLICATES] = Field(
        0.92, description="least normalised Levenshtein similarity of a near-duplicate"
    )
    max_changed_span: Annotated[int, NEAR_DUPLICATES] = Field(
        2, ge=0, description="longest changed span of a near-duplicate, characters"
    )
    swaps: Annotated[tuple[tuple[str, str], ...], NEAR_DUPLICATES] = Field(
        (), description="more pairs of words that make two questions of one"
    )
    ignored_swaps: Annotated[tuple[tuple[str, str], ...], NEAR_DUPLICATES] = Field(
        (), description="built-in pairs of words that are not used"
    )
    group_jaccard: Annotated[Share, NEAR_DUPLICATES] = Field(
        0.50, description="Jaccard similarity from which two rows share a split group"
    )
    paraphrases: bool = Field(True, description="also group and review by TF-IDF cosine of characters")
    group_cosine: Annotated[Share, NEAR_DUPLICATES, PARAPHRASES] = Field(
        0.60, description="TF-IDF cosine from which two rows share a split group"
    )
    review_cosine: Annotated[Share, NEAR_DUPLICATES, PARAPHRASES] = Field(
        0.50, description="TF-IDF cosine from which two rows are shown to a person"
    )
    review_pairs: Count = Field(10_000, description="pairs of each kind in the review file, at most")
    shared_text_chars: Count = Field(
        40, description="least characters of a reasoning or answer that counts as shared between rows"
    )


class SplitSettings(Section):
    """Shares of the three splits; they sum to 1."""

    train: Share = Field(0.90, description="share of the rows to train on; the three shares sum to 1")
    validation: Share = Field(0.05, description="share of the rows measured while training")
    test: Share = Field(0.05, description="share of the rows held out for the evaluation")
    salt: str = Field("medcot-1", description="changes the assignment of every group")
    benchmark_dir: Annotated[UserPath | None, NOT_IDENTITY] = Field(
        None, description="folder of evaluation benchmarks to screen for overlap"
    )
    benchmark_question_field: Annotated[str, BENCHMARKS] = Field(
        "question", description="field of the question in the benchmark files"
    )
    benchmark_fields: Annotated[dict[str, str], BENCHMARKS] = Field(
        default_factory=dict, description="that field by file name or path"
    )
    drop_confirmed_from_train: Annotated[bool, BENCHMARKS] = Field(
        True, description="rows confirmed to be in a benchmark leave the train split"
    )

    @model_validator(mode="after")
    def _sums_to_one(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self
