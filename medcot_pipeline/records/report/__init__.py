"""The evaluation report as data.

Belongs here: its parts and their fields.
Does not belong here: computing anything (evaluation/).
"""
