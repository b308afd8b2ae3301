"""The child process in which models are loaded, one at a time on each GPU.

Belongs here: the child's protocol, the GPU's lock, launching.
Does not belong here: what the work is (the rooms).
"""
