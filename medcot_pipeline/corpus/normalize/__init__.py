"""Text as training reads it, a key for comparing, and defects of a row.

Belongs here: rules for texts and rows, as tables of rows.
Does not belong here: finding duplicates (dedup/).
"""
