"""Where work runs that loads a model: a child process, one at a time on each GPU.

Belongs here: the child's protocol, the GPU's lock, launching.
Does not: what the work is (the rooms).
"""
