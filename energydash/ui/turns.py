"""Where a page's work is done: on the event loop, with its document locked, and told to the browser in one message.

Bokeh alone would do it in worker threads: many at a time, and all the while the store is written to. There each would also wait for
the interpreter, and send what it changed piece by piece.
"""

from collections.abc import Callable

import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc


def take(document: Document, work: Callable[[], None]) -> None:
    """Do `work` as soon as the document is free; once its session has ended, never."""

    async def turn() -> None:
        # Bokeh starts a coroutine in a worker, but runs it on the loop.
        with set_curdoc(document), pn.io.hold(document):
            work()

    document.add_next_tick_callback(turn)


def soon(work: Callable[[], None]) -> None:
    """Do `work` in a turn of the document whose message is being heard; at once while the document is still being built."""
    document = pn.state.curdoc
    context = document.session_context if document else None
    if document is None or getattr(context, "session", None) is None:
        work()
    else:
        take(document, work)
