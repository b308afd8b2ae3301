"""Another live process that names itself as a run's process does.

Belongs here: its program.
Does not belong here: starting and killing it.
"""

SAY_WHO = """
import sys
from medcot_pipeline.orchestration.instance.processes import Process
print(Process.own().to_tag(), flush=True)
sys.stdin.readline()
"""
