"""Showing a page in the user's browser, for which nothing here waits."""

import logging
import threading
import webbrowser

logger = logging.getLogger(__name__)


def open_browser(url: str) -> None:
    """Have the user's browser show an address; where there is none, the log says so.

    It returns at once and raises nothing: a browser in the terminal, or one that BROWSER names, runs for as long as its reader likes.
    """
    # Not in the executor of the event loop: the end of the process would wait for that.
    threading.Thread(target=_open, args=(url,), name="browser", daemon=True).start()


def _open(url: str) -> None:
    try:
        opened = webbrowser.open(url)
    except (OSError, ValueError, webbrowser.Error) as exc:
        logger.info("no browser could be opened: %s", exc)
        return
    if not opened:
        logger.info("no browser could be opened for %s", url)
