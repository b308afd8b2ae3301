"""How likely texts are to each arm.

Belongs here: measuring token by token, perplexities with intervals.
Does not: answers (answers/).
"""
