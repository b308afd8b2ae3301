"""The child process in which models are loaded, one at a time on each GPU, and the ranks that it starts on several.

Belongs here: the child's protocol, the GPUs and their locks, launching, what ranks do together.
Does not belong here: what the work is (the rooms).
"""
