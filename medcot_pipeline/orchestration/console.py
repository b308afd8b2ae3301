"""The terminal's log lines: time and message for people, or one JSON object a line for whatever collects logs.

Belongs here: how a line looks.
Does not: what is said.
"""

import datetime
import json
import logging
import os
import sys
from typing import Any

import dagster as dg

FORMAT_VARIABLE = "MEDCOT_LOG_FORMAT"
"""`json` for JSON lines; text where it is unset."""


class OneLine(logging.Formatter):
    """`12:03:04 (7/12) qlora_adapter: training: 3 of 40 …`, with an error's text behind it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Take the message that the code gave, without Dagster's run and step identifiers."""
        message = _dagster(record).get("orig_message")
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{message or record.getMessage()}"


class JsonLine(logging.Formatter):
    """An object with time (UTC), level, message, and run, asset and fingerprint where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the record's parts under names of their own."""
        dagster = _dagster(record)
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": dagster.get("orig_message") or record.getMessage(),
            "run": dagster.get("run_id"),
            "asset": dagster.get("step_key"),
            "fingerprint": getattr(record, "fingerprint", None),
        }
        return json.dumps({name: value for name, value in line.items() if value is not None}, ensure_ascii=False)


def _dagster(record: logging.LogRecord) -> dict[str, Any]:
    """What Dagster knows of a record; empty for one that did not come through it."""
    known = getattr(record, "dagster_meta", None)
    return known if isinstance(known, dict) else {}


@dg.logger({"log_level": dg.Field(str, is_required=False, default_value="INFO")}, description="One line per message.")
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Messages of INFO and above on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if os.environ.get(FORMAT_VARIABLE) == "json" else OneLine())
    logger = logging.Logger("medcot")
    logger.addHandler(handler)
    logger.setLevel(context.logger_config["log_level"])
    return logger
