"""Overlap of the corpus with evaluation benchmarks.

Belongs here: reading benchmarks, comparing.
Does not: what becomes of a row that overlaps (splits/).
"""
