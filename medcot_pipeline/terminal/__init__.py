"""What commands print: tables, the plan, the status, where one stands, and pages to open.

Belongs here: how facts look in a terminal, in a pipe and as JSON.
Does not belong here: finding the facts (pipeline/, orchestration/instance/), arguments and exit statuses (cli.py).
"""
