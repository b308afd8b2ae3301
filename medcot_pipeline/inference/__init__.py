"""How a model is asked to write: in this process, token by token, or where it is served elsewhere.

Belongs here: requests and what came of them, a model loaded in this process, the client of servers (endpoint.py), a
model that a server has (served/).
Does not belong here: what is asked and what a reply is worth (evaluation/), loading a model (models/).
"""
