"""The sections, one file per room of the package; every field with its unit.

Belongs here: names, types, ranges and defaults, and the marks of settings/section.py.
Does not belong here: reading files or the environment (settings/load.py).
"""
