"""Estimates, intervals and tests for paired comparisons.

Belongs here: pure functions from numbers or verdicts.
Does not belong here: reading files, wording.
"""
