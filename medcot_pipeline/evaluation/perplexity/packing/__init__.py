"""Measuring many rows in one pass: packed in lines, within the memory there is.

Belongs here: lines and their likelihood, the plan of a measurement and what `medcot plan` says about it.
Does not belong here: which texts are measured (texts.py), tables of what was measured (measure.py).
"""
