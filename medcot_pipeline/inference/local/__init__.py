"""The engine that writes in this process: a decoder's weights, a cache of keys and values, and rows that come and go.

Belongs here: everything between a loaded model and the tokens of its requests.
Does not belong here: loading a model (models/), what a request means (chat/, evaluation/).
"""
