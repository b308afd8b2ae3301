"""Multiple-choice exams of medical knowledge.

Belongs here: reading exams, asking them, scores.
Does not belong here: benchmarks that the corpus is screened against (corpus/overlap/).
"""
