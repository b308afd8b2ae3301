"""The data card: what the corpus is, where it comes from, what was done to it and what it cannot be used for.

Belongs here: the sections of the card.
Does not belong here: figures of the rows (card_figures.py), those of other stages (funnel, rules, overlap), the form of
a table (support/markdown.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.datasets.card_figures import (
    FIELDS,
    OPENING_CHARS,
    clusters,
    flag_rows,
    histogram,
    length_rows,
    mix,
    opening_rows,
    parts,
    split_row,
    token_lengths,
)
from medcot_pipeline.support.markdown import flatten, table

SUMMARY = "aside/summary.json"
"""Where an artifact of the corpus keeps what happened to the rows up to it, which the card tells."""

LICENCES = """\
Rows of `FreedomIntelligence/medical-o1-reasoning-SFT`:

1. The questions come from exams: CMB-Exam (Chinese), MedQA-USMLE and MedMCQA (English), each under its own terms.
2. GPT-4o wrote reasoning and responses: see OpenAI's terms of use.
3. The data set's card says Apache-2.0.

Rows of any other source keep that source's licence. This corpus is a filtered and normalised copy and changes none."""

LIMITS = """\
- In the published data set GPT-4o wrote the reasoning and no clinician reviewed it; the authors found their verifier
  right on 96.5 % of 200 rows. Expect wrong answers, and wrong arithmetic in long reasoning.
- The questions are exam questions: a complete vignette and one best answer, which practice rarely offers.
- Lost exponents and misread digits are flagged, never repaired: what stood there cannot be known.
- Near-duplicates are told by their characters: a paraphrase in other words may remain, also across splits.
- A benchmark row that is flagged shares text with a training row; only a confirmed one is the same question.
- **Not for clinical use**: neither the rows nor a model trained on them may guide the care of a person."""

REPRODUCE = """\
```
medcot sync
```

The source's checksum, the settings and the versions above decide the rows, the splits and this card."""


def data_card(
    *,
    source: Mapping[str, Any],
    funnel: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    rows: pl.DataFrame,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    overlap: Sequence[Mapping[str, Any]],
    nearest: Sequence[Mapping[str, Any]],
) -> str:
    """The data card of a corpus, in Markdown; every text from outside is escaped.

    Args:
        source: name, revision, file, sha256, licence and whatever else identifies the source; may be nested.
        funnel: rows after each step, a mapping per step.
        rules: `NormalizedCorpus.rules`.
        rows: the rows that are left, with `row_id`, `question`, `reasoning`, `answer`, `key`, `language`, `flags`,
            `group_id`, `split` and, when known, `tokens_question`, `tokens_reasoning`, `tokens_answer`.
        settings: the settings of the corpus' stages, nested by section; `sft.max_tokens` is the cutoff, in tokens.
        versions: version by library or algorithm.
        overlap: counts per benchmark, empty if none was screened.
        nearest: the most similar pair of questions between every two splits.
    """
    rows = rows.with_columns(
        options=pl.Series([bool(split_options(text).options) for text in rows["question"]], dtype=pl.Boolean)
    )
    sections = {
        "Source": table(flatten(source)),
        "From raw to kept": f"{_or_none(funnel)}\n\n`removed.parquet` has every removed row, with the reason.",
        "What each rule did": _or_none(rules),
        "Splits": table([split_row(name, part) for name, part in parts(rows)]),
        "Lengths in characters": table(length_rows(rows, FIELDS)),
        "Lengths in tokens": token_lengths(rows, settings),
        "Length of a row": histogram(rows),
        "Clusters": clusters(rows),
        "Flags": _or_none(flag_rows(rows)),
        f"First {OPENING_CHARS} characters of the reasoning": _or_none(opening_rows(rows)),
        "Nearest questions across splits": _or_none(nearest),
        "Overlap with benchmarks": table(overlap) if overlap else "No benchmark was screened (`splits.benchmark_dir`).",
        "Licences": LICENCES,
        "Known limits": LIMITS,
        "Settings": table(flatten(settings)),
        "Versions": table(flatten(versions)),
        "Reproduce": REPRODUCE,
    }
    head = f"# Data card\n\n{rows.height:,} rows: {mix(rows)}."
    return head + "".join(f"\n\n## {title}\n\n{body}" for title, body in sections.items()) + "\n"


def _or_none(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(rows) if rows else "None."
