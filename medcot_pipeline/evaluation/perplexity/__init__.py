"""How likely texts are to one model, and to two side by side.

Belongs here: measuring token by token, perplexities with intervals.
Does not belong here: answers (answers/).
"""
