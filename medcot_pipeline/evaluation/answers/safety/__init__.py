"""What answers say to do, and which of them a person should look at.

Patterns see words, not medicine.

Belongs here: reading words of an answer: clauses, advice, flags, and figures over these.
Does not belong here: rules on form (rules/), preferences (judging/, people/).
"""
