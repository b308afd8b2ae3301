"""The AI judge: which of two answers is better.

Belongs here: calls, wording, gates, verdicts.
Does not belong here: people's verdicts (people/).
"""
