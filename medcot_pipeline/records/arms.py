"""The models that an evaluation compares.

Belongs here: their names.
Does not belong here: loading them (models/arms.py).
"""

from typing import Literal

Arm = Literal["base", "tuned", "incumbent"]
Other = Literal["base", "incumbent"]
"""What the tuned arm is compared with."""
ARMS: tuple[Arm, Arm] = ("base", "tuned")
"""The arms of every evaluation. The incumbent, where there is one, stands beside them in files of its own."""
