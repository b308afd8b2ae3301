"""Rubrics, grades, and what grades add up to.

Belongs here: their fields.
Does not belong here: grading (evaluation/rubrics/).
"""
