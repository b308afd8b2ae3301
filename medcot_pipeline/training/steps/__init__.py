"""One optimiser step after another.

Belongs here: rows of a step, micro-batches, attention, loss, the loop.
Does not belong here: the plan (plan/), loading (training/engines.py).
"""
