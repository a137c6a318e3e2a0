"""Logging, set up once for a process: `logs/<command>.log` and, for warnings, stderr. One line a record, bounded, without secrets."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO, override

from energydash.plain import plain

FORMAT = "ENERGYDASH_LOG_FORMAT"
"""The environment variable that says `text` or `json`."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FILE_BYTES = 5_000_000
_FILES_KEPT = 3
_LONGEST = 4000
_PRIVATE = 0o600
_SECRET_NAME = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)S?$")
_CREDENTIALS = re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@")
# Shorter words stand in ordinary text too.
_SECRET_LENGTH = 6


class _Formatter(logging.Formatter):
    """Makes one line of a record: what a stranger sent cannot forge another, and secrets are masked."""

    def __init__(self, style: str, secrets: Iterable[str]) -> None:
        super().__init__(style)
        # The longest first: one may hold another.
        self._secrets = sorted(secrets, key=len, reverse=True)

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = self._masked(super().format(record))
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return plain(_CREDENTIALS.sub(r"\1:***@", text))


class _JsonFormatter(_Formatter):
    """Makes one JSON object of a record: `time` (UTC), `level`, `logger`, `message` and, of an error, its `traceback`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": self._masked(record.getMessage())[:_LONGEST],
        }
        if record.exc_info:
            told["traceback"] = self._masked(self.formatException(record.exc_info))[-_LONGEST:]
        return json.dumps(told, ensure_ascii=True)


class _Screen(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is now: while a live table stands there, its lines go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Where it writes."""
        return sys.stderr


class _File(RotatingFileHandler):
    """A bounded file that this user alone can read. Where the disk fails, that is said once, and the work goes on."""

    _failed = False

    @override
    def _open(self) -> Any:
        handle = os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _PRIVATE)
        return os.fdopen(handle, self.mode, encoding=self.encoding, errors=self.errors)

    @override
    def doRollover(self) -> None:
        try:
            super().doRollover()
        except OSError:
            # Windows renames no file that another process has open: the next record tries again.
            if self.stream is None:
                self.stream = self._open()

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            sys.stderr.write(
                f"energydash: the log cannot be written: {error.strerror or error}\n"
            )


def _is_not_a_late_answer(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Unexpected message ID")


def _is_not_of_a_browser_that_left(record: logging.LogRecord) -> bool:
    error = record.exc_info and record.exc_info[0]
    left = error and error.__name__ == "WebSocketClosedError"
    return not left and not str(record.msg).startswith("Failed sending message")


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """Give the values that must not be shown: those of variables that are named like a secret, and each part of such a list."""
    values = [value for name, value in environment.items() if _SECRET_NAME.search(name)]
    words = {word for value in values for word in (value, *re.split(r"[\s:]+", value))}
    return {word for word in words if len(word) >= _SECRET_LENGTH}


def set_up(command: str, *, level: str = "INFO", folder: Path = Path("logs")) -> None:
    """Send this process's log to `folder/<command>.log`, and its warnings to stderr.

    A folder that cannot be written is no reason to stop: the log then goes to stderr alone.
    """
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.setLevel(level.upper())
    secrets = secrets_in(os.environ)
    screen = _Screen()
    screen.setLevel(max(logging.WARNING, root.level))
    screen.setFormatter(_Formatter("%(levelname)s %(message)s", secrets))
    root.addHandler(screen)
    for noisy in ("httpx", "httpcore", "mqtt", "bokeh"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Each probe that finds the page not ready yet is an error to it; a real one is told by `tornado.application`.
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    # aiomqtt shows a traceback for an answer that comes after its asker was stopped.
    logging.getLogger("mqtt").addFilter(_is_not_a_late_answer)
    # A page is often closed while something is on its way to it: Bokeh warns of that, or leaves Tornado's error to asyncio.
    for name in ("asyncio", "bokeh.server.views.ws"):
        logging.getLogger(name).addFilter(_is_not_of_a_browser_that_left)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _File(
            folder / f"{command}.log",
            maxBytes=_FILE_BYTES,
            backupCount=_FILES_KEPT,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as exc:
        logging.getLogger(__name__).warning("no log file in %s: %s", folder, exc)
        return
    as_json = os.environ.get(FORMAT) == "json"
    file.setFormatter((_JsonFormatter if as_json else _Formatter)(_FORMAT, secrets))
    root.addHandler(file)
