"""What training reads.

Belongs here: the SFT data set and its card.
Does not belong here: which rows are in a split (corpus/).
"""
