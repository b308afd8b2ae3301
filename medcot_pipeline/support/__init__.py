"""What every room can use and none owns.

Belongs here: files, errors, progress, charts, the web.
Does not belong here: anything that knows a stage.
"""
