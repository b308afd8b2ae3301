"""Blind human review.

Belongs here: the pack, its page and server, what reviewers send back, second looks.
Does not belong here: the AI judge (judging/).
"""
