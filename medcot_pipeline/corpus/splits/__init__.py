"""Train, validation and test rows.

Belongs here: assigning splits by group, leaks across them.
Does not: groups (dedup/).
"""
