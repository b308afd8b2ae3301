"""How a model that is served elsewhere is asked.

Belongs here: the one client of OpenAI-compatible servers, its limits, and asking many calls at a time.
Does not: what is asked and what a reply is worth (evaluation/), models loaded here (models/).
"""
