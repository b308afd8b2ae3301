"""The terminal's log lines: time and message, nothing else.

Belongs here: how a line looks in a terminal.
Does not: what is said.
"""

import logging
import sys

import dagster as dg


class OneLine(logging.Formatter):
    """`12:03:04 (7/12) qlora_adapter: training: 3 of 40 …`, with an error's text behind it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Take the message that the code gave, without Dagster's run and step identifiers."""
        meta = getattr(record, "dagster_meta", None) or {}
        message = meta.get("orig_message") if isinstance(meta, dict) else None
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{message or record.getMessage()}"


@dg.logger({"log_level": dg.Field(str, is_required=False, default_value="INFO")}, description="One line per message.")
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Messages of INFO and above on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logger = logging.Logger("medcot")
    logger.addHandler(handler)
    logger.setLevel(context.logger_config["log_level"])
    return logger
