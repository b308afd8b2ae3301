"""What starts a pass over the graph without a person, and who is told when it fails.

Belongs here: the job, the schedule, the sensors, the alert.
Does not belong here: what is stale (pipeline/plan.py), or what an asset does.
"""
