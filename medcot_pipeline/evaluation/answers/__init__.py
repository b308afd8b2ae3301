"""What both arms write for the frozen prompts.

Belongs here: prompts, answers to them by whoever writes, rules, safety flags.
Does not belong here: verdicts (judging/, people/).
"""
