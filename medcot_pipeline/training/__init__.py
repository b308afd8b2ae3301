"""Training: choosing rows, the QLoRA run, its curves and its adapter.

Belongs here: everything between encoded rows and a saved adapter.
Does not belong here: getting the base model (models/), or Dagster (the child process reports through a plain function).
"""
