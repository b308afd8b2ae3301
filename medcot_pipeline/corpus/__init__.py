"""The corpus: reading rows, normalising, removing duplicates, splitting.

Belongs here: plain functions over Polars frames and settings.
Does not belong here: Dagster, tokens of a particular model, or the choice of which artifact is read.
"""
