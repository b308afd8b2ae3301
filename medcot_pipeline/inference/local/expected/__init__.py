"""What is expected of requests: how long they get, and when the last one ends.

Belongs here: estimates, made before and while requests run.
Does not belong here: memory (plan.py).
"""
