"""The rules that tell a duplicate from a near-miss by the characters that differ.

Belongs here: numbers, units, sides, polarity, organs, pairs of words.
Does not belong here: similarity of texts (similar/).
"""
