"""What a stage is, and what a pass over stages does; without Dagster and without medicine.

Belongs here: stages, runs, checks, plans.
Does not belong here: any stage by name.
"""
