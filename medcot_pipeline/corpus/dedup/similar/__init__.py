"""How alike two texts are.

Belongs here: candidates by MinHash, exact Jaccard, edit distance, TF-IDF cosine.
Does not belong here: what a difference means (rules/).
"""
