"""Estimates, intervals and tests for paired comparisons.

Belongs here: pure functions from numbers or verdicts.
Does not: reading files, wording.
"""
