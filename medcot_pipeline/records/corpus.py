"""What the stages of the corpus hand on beside rows.

Belongs here: names of files.
Does not belong here: what is in them (corpus/stages.py).
"""

SUMMARY = "aside/summary.json"
"""Where an artifact of the corpus keeps what happened to the rows up to it, which the data card tells."""
