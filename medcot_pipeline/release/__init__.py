"""Which adapter is promoted, and why.

Belongs here: deciding, promoting, going back, the record.
Does not belong here: measuring (evaluation/).
"""
