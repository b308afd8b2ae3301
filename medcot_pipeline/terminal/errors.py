"""An error as the one line that a command ends with.

Belongs here: which errors a person can act on, and what is said of them.
Does not belong here: exit statuses (cli.py).
"""

import errno
import resource

from medcot_pipeline.support.errors import MedcotError, comes_of


def error_line(error: Exception) -> str | None:
    """What a person must know of an error, in one line; None of a defect of this project."""
    if comes_of(error, errno.EMFILE):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"Too many open files: here a process may open {most:,}. Raise that, `ulimit -n 1024`, and try again."
    if isinstance(error, MedcotError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    return None
