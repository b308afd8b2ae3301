"""Models: getting the pinned base, checking it, loading it in NF4 with or without an adapter.

Belongs here: everything that touches weights outside of a training loop.
Does not belong here: training (training/), measuring (evaluation/).
"""
