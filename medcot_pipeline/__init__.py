"""From medical reasoning rows to a tuned model and the evidence that it is better, as one Dagster asset graph."""

__version__ = "0.1.0"
