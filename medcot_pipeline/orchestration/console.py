"""The terminal's log lines: time and message for people, or one JSON object a line for whatever collects logs.

In a terminal, lines that tell how far one piece of work is replace one another; anywhere else every line stays.

Belongs here: how a line looks.
Does not belong here: what is said.
"""

import datetime
import json
import logging
import os
import sys
from typing import Any, TextIO

import dagster as dg

from medcot_pipeline.support.progress import work_of

FORMAT_VARIABLE = "MEDCOT_LOG_FORMAT"
"""`json` for JSON lines; text where it is unset."""


class OneLine(logging.Formatter):
    """`12:03:04 (7/12) qlora_adapter: training: 3 of 40 …`, with an error's text behind it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Put time and level before the message."""
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{_message(record)}"


class JsonLine(logging.Formatter):
    """An object with time (UTC), level, message, and run, asset and fingerprint where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the record's parts under names of their own."""
        dagster = _dagster(record)
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": _message(record),
            "run": dagster.get("run_id"),
            "asset": dagster.get("step_key"),
            "fingerprint": getattr(record, "fingerprint", None),
        }
        return json.dumps({name: value for name, value in line.items() if value is not None}, ensure_ascii=False)


class LiveLine(logging.StreamHandler[TextIO]):
    """Lines on a terminal, of which the last may be live: the next one about the same work takes its place.

    A live line has no line end yet; `end` gives it one. The lines go to the terminal itself: while a step runs, Dagster
    leads standard error through a file.
    """

    work: str | None = None
    """What the live line tells of; None where there is none."""

    def __init__(self, terminal: int) -> None:
        """Args: terminal: its file descriptor, of which a copy is made."""
        super().__init__(os.fdopen(os.dup(terminal), "w", encoding="utf-8", errors="backslashreplace"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, in the place of the live one if both tell of the same work."""
        try:
            line, work = self.format(record), work_of(_message(record))
            if self.work is not None:
                self.stream.write("\r\x1b[K" if work == self.work else "\n")
            # A line that fills its row runs on into the next, where nothing takes it back. 0: a terminal without width.
            width = os.get_terminal_size(self.stream.fileno()).columns or 80
            self.stream.write(f"{line}\n" if work is None else line[: width - 1])
            self.work = work
            self.flush()
        except Exception:
            self.handleError(record)

    def end(self) -> None:
        """End the live line, so that whatever comes next has a line of its own."""
        if self.work is not None:
            self.work = None
            self.stream.write("\n")
            self.flush()


def _message(record: logging.LogRecord) -> str:
    """The message that the code gave, without Dagster's run and step identifiers."""
    return str(_dagster(record).get("orig_message") or record.getMessage())


def _dagster(record: logging.LogRecord) -> dict[str, Any]:
    """What Dagster knows of a record; empty for one that did not come through it."""
    known = getattr(record, "dagster_meta", None)
    return known if isinstance(known, dict) else {}


def end_live_line() -> None:
    """End the live line of this process's console, if there is one."""
    for handler in CONSOLE.handlers:
        if isinstance(handler, LiveLine):
            handler.end()


CONSOLE = logging.Logger("medcot")
"""Messages on standard error."""


@dg.logger({"log_level": dg.Field(str, is_required=False, default_value="INFO")}, description="One line per message.")
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Messages of INFO and above on standard error."""
    as_json = os.environ.get(FORMAT_VARIABLE) == "json"
    live = not as_json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    handler = LiveLine(sys.stderr.fileno()) if live else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if as_json else OneLine())
    CONSOLE.handlers = [handler]
    CONSOLE.setLevel(context.logger_config["log_level"])
    return CONSOLE
