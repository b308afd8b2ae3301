"""The records that rooms hand to each other through artifacts.

Belongs here: their fields.
Does not: computing anything.
"""
