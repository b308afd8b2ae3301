"""The assets: thin functions that name inputs, call the domain, and publish.

Belongs here: what Dagster needs to know of a stage.
Does not: how anything is computed.
"""
