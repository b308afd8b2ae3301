"""Which rows ask the same question, and which of them stays.

Belongs here: exact and near duplicates, groups, pairs for a person to look at.
Does not belong here: normalising text (normalize/), assigning splits (splits/).
"""
