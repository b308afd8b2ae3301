"""Where rows come from, and reading them exactly as they are.

Belongs here: the sample, files, the public data set, chat forms, further rows.
Does not belong here: changing any text (normalize/).
"""
