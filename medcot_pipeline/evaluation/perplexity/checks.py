"""What must hold of measured perplexities before they are published.

Belongs here: one function per check, over the files of the artifact; blocking where the next stage would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.evaluation.perplexity.job import EXAMPLES
from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_parquet


def likelihoods_are_finite(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """There are held-out rows, and every figure is a number."""
    examples = read_parquet(folder / EXAMPLES)
    finite, rows = bool(examples["nll"].is_finite().all()), examples.filter(set="test")["row_id"].n_unique()
    return finite and rows > 0, f"{rows:,} held-out rows; {'all' if finite else 'not all'} finite."


def likelihoods_are_whole(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Both arms measured the same rows and tokens."""
    examples = read_parquet(folder / EXAMPLES)
    columns = ["set", "row_id", "segment", "tokens"]
    base, tuned = (examples.filter(arm=arm).select(columns).sort(columns) for arm in ARMS)
    return base.equals(tuned) and base.height > 0, f"{base.height:,} lines of the base, {tuned.height:,} of the tuned."


def arms_differ(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The adapter changes the likelihood of some token."""
    difference = read_json(folder / "perplexity.json")["max_logit_difference"]
    return difference > 0, f"Largest change of a token's log-likelihood: {difference:.3g} nats."


MEASURED = (Check("likelihoods_are_finite", "Is every likelihood a finite number?", likelihoods_are_finite),)
COMPARED = (
    Check("likelihoods_are_whole", "Were both arms measured on the same rows?", likelihoods_are_whole),
    Check("arms_differ", "Does the adapter change anything?", arms_differ, blocking=False),
)
