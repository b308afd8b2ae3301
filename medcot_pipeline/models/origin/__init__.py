"""Where a base model comes from, and whether it is one that can be used.

Belongs here: getting its folder, whether its files are whole, whether transformers loads it.
Does not belong here: what is recorded of it (base.py), loading it (load.py).
"""
