"""What both arms write for the frozen prompts.

Belongs here: prompts, generation, answers from an endpoint, rules, safety flags.
Does not: verdicts (judging/, people/).
"""
