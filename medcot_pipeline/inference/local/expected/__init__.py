"""What is expected of requests: how long they get, and when the last one ends.

Belongs here: estimates, made before and while requests run.
Does not: memory (plan.py).
"""
