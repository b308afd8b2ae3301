"""Rubrics, grades, and what grades add up to.

Belongs here: their fields.
Does not: grading (evaluation/rubrics/).
"""
