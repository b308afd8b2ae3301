"""Rubric-graded answers: which criteria of a prompt each arm's answer meets, graded by the AI judge.

Belongs here: reading rubrics, asking the judge, evidence, gates of the grader, scores.
Does not belong here: which of two answers is better (judging/), the client (inference/).
"""
