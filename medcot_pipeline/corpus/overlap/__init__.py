"""Overlap of the corpus with evaluation benchmarks.

Belongs here: reading benchmarks, comparing.
Does not belong here: what becomes of a row that overlaps (splits/).
"""
