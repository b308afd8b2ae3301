"""The records that rooms hand to each other through artifacts.

Belongs here: their fields.
Does not belong here: computing anything.
"""
