"""Logging, set up once for a process: `logs/<command>.log` and, for warnings, stderr."""

import logging
import re
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import override

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FILE_BYTES = 5_000_000
_FILES_KEPT = 3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _OneLineFormatter(logging.Formatter):
    """Keep a record's message on one line, so that what a stranger sent cannot forge another."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _CONTROL.sub(" ", record.message)
        return super().formatMessage(record)


def _is_not_a_late_answer(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Unexpected message ID")


def set_up(command: str, *, level: str = "INFO", folder: Path = Path("logs")) -> None:
    """Send this process's log to `folder/<command>.log`, and its warnings to stderr.

    A folder that cannot be written is no reason to stop: the log then goes to stderr alone.
    """
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.setLevel(level.upper())
    screen = logging.StreamHandler()
    screen.setLevel(max(logging.WARNING, root.level))
    screen.setFormatter(_OneLineFormatter("%(levelname)s %(message)s"))
    root.addHandler(screen)
    for noisy in ("httpx", "httpcore", "mqtt", "bokeh", "tornado.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # aiomqtt shows a traceback for an answer that comes after its asker was stopped.
    logging.getLogger("mqtt").addFilter(_is_not_a_late_answer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(
            folder / f"{command}.log",
            maxBytes=_FILE_BYTES,
            backupCount=_FILES_KEPT,
            encoding="utf-8",
        )
    except OSError as exc:
        logging.getLogger(__name__).warning("no log file in %s: %s", folder, exc)
        return
    file.setFormatter(_OneLineFormatter(_FORMAT))
    root.addHandler(file)
