"""Models that are served elsewhere: the one way to servers that speak OpenAI's protocol.

Belongs here: reading replies and refusals, many calls at a time, calls that are kept, what a model writes.
Does not belong here: the client (inference/endpoint.py), what is asked and what a reply is worth (evaluation/).
"""
