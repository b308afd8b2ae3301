"""Evaluation: perplexity, answers, rules, judging by AI and people, statistics, the report.

Belongs here: plain functions over rows, answers and verdicts.
Does not belong here: Dagster, or the choice of which artifact is read.
"""
