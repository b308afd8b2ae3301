"""Everything that Dagster needs: the only folder that imports it.

Belongs here: assets, the terminal's lines, schedule and sensors, the instance.
Does not belong here: what a stage does (the rooms).
"""
