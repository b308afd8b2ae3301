"""The evaluation report as data and as a page.

Belongs here: which figures, which words, which layout.
Does not belong here: measuring anything.
"""
