"""What a browser says, taken in under its document's lock.

Panel hands on a parameter that the browser has changed, and at times a message, on the event loop and without that lock, while Bokeh
runs the document's other callbacks in worker threads: two would write one document at once, and what then goes out of order the browser
cannot apply.
"""

from collections.abc import Callable

import panel as pn


def locked[**P](react: Callable[P, object]) -> Callable[P, None]:
    """Let `react` run a moment later, under the lock of the document whose browser has spoken; in order, and at once where there is none."""

    def hear(*args: P.args, **kwargs: P.kwargs) -> None:
        def act() -> None:
            react(*args, **kwargs)

        document = pn.state.curdoc
        if document is None or document.session_context is None:
            act()
        else:
            document.add_next_tick_callback(act)

    return hear
