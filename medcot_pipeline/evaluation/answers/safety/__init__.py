"""What answers say to do, and which of them a person should look at.

Belongs here: reading words of an answer: clauses, advice, flags, and figures over these.
Does not: rules on form (answers/rules.py), preferences (judging/, people/). Patterns see words, not medicine.
"""
