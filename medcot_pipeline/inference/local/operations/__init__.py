"""The operations of one decoding step, once for each kind of device, and the noise that tokens are drawn by.

Belongs here: what a single operation computes.
Does not belong here: their order (forward.py).
"""
