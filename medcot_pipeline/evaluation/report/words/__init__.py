"""What the report says in sentences.

Belongs here: wording, in English and Chinese where a page opens with it, and when a sentence applies.
Does not belong here: figures (the other modules of report/), layout (page.py, templates/).
"""
