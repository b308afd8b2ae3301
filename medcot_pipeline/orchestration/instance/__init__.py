"""The Dagster instance: its home, its storage, and a pass over the graph in it.

Belongs here: everything that needs a Dagster instance outside of an asset.
Does not belong here: which assets are stale by fingerprint (pipeline/plan.py), or what is printed (cli.py).
"""
