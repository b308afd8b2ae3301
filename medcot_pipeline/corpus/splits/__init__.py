"""Train, validation and test rows.

Belongs here: assigning splits by group, leaks across them.
Does not belong here: groups (dedup/).
"""
