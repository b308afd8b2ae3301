"""What deduplication was done with, for the record.

Belongs here: libraries, versions, seeds, parameters.
Does not belong here: any computation.
"""

from importlib.metadata import version
from typing import Any

from medcot_pipeline.corpus.dedup.rules import guards
from medcot_pipeline.corpus.dedup.similar import candidates, nearness, paraphrases, shingles
from medcot_pipeline.settings import DedupSettings


def made_with(settings: DedupSettings) -> dict[str, Any]:
    """Everything beside the rows that the outcome depends on."""
    from rensa import RMinHash

    return {
        "library": "rensa",
        "version": version("rensa"),
        "algorithm": "R-MinHash over the full set",
        "algorithm_version": int(RMinHash.ALGORITHM_VERSION),
        "seed": candidates.SEED,
        "verified_with": {name: version(name) for name in ("rapidfuzz", "scipy", "numpy", "polars")},
        "parameters": {
            "shingle": shingles.SHINGLE,
            "bands": candidates.BANDS,
            "rows_per_band": candidates.ROWS_PER_BAND,
            "crowded_bucket": candidates.CROWDED,
            "neighbours_in_a_crowded_bucket": candidates.NEIGHBOURS,
            "longest_edit_chars": nearness.LONGEST_EDIT,
            "exchangeable": guards.EXCHANGEABLE,
            "paraphrase_postings": paraphrases.MOST_POSTINGS,
            "paraphrase_nearest": paraphrases.NEAREST,
            **settings.model_dump(mode="json"),
        },
    }
