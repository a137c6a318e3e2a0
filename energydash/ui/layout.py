"""Where the parts stand on the page."""

from collections.abc import Mapping

import panel as pn
from bokeh.document import Document
from panel.viewable import Viewable

# The order in which the document has them; the HTML has a place for each.
PARTS = (
    "status", "alerts", "cards", "toolbar", "where", "fuels", "stack", "price", "today", "detail", "time", "address", "pictures",
)  # fmt: skip


def views(shown: Viewable, *others: Viewable) -> pn.Column:
    """Give the views of which one is shown at a time; the toolbar has their tabs.

    All stay in the document: Bokeh stumbles over what is taken out of it while the browser still renders it.
    """
    # Each in a frame of its own: a part's own style may not let it be hidden.
    frames = [
        pn.Column(view, sizing_mode="stretch_both", margin=0) for view in (shown, *others)
    ]
    for frame in frames[1:]:
        frame.visible = False
    return pn.Column(*frames, sizing_mode="stretch_both", margin=0)


def show(views: pn.Column, place: int) -> None:
    """Show the view at a place, and hide the one that was shown."""
    for n, view in enumerate(views):
        view.visible = n == place


def place(parts: Mapping[str, Viewable], document: Document) -> None:
    """Put the parts into the document, in the order in which the page's HTML has places for them."""
    for name in PARTS:
        parts[name].server_doc(document, title="energydash", location=False)
