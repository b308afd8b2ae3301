"""HTTP: one client, and the hub.

Belongs here: opening connections, and what of the environment keeps one from being opened.
Does not belong here: what is asked, and what becomes of an answer (the rooms).
"""
