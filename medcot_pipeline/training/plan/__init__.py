"""How a training run is cut to a GPU, and what it will take.

Belongs here: estimates of memory and time, choosing, keeping the plan of a run that was begun.
Does not belong here: training itself (steps/).
"""
