"""Commands run in a real pseudo-terminal.

Belongs here: starting one, and what it shows.
Does not belong here: anything about the commands.
"""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence


def shown_in_terminal(command: Sequence[str], environment: Mapping[str, str], *, columns: int = 100) -> tuple[int, str]:
    """Run a command whose standard streams are a terminal.

    Returns:
        Exit status, and everything that it wrote, with control sequences, line ends as `\\n`.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the last process that had the terminal has ended
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(), written.decode("utf-8").replace("\r\n", "\n")
