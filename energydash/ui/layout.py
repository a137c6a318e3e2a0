"""Where the parts stand on the page."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import panel as pn
from panel.io.resources import get_env
from panel.viewable import Viewable

from energydash import nem
from energydash.ui import bundled
from energydash.ui.hues import Colours
from energydash.ui.theme import Mode, css


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


class _Page(pn.Template):
    """A template that does not describe all of its parts each time that it gets another one."""

    def __repr__(self) -> str:
        return type(self).__name__


@cache
def _compiled() -> Any:
    return get_env().from_string(bundled.text("page.html"))


def page(
    parts: Mapping[str, Viewable], mode: Mode | None, colours: Colours = "usual"
) -> pn.Template:
    """Give the document; `mode` is the theme that is known to be wanted, None: the system's."""
    template = _Page(_compiled())
    for name, view in parts.items():
        template.add_panel(name, view)
    for name, value in (
        ("theme_css", css()),
        ("page_css", bundled.text("page.css")),
        ("favicon", "assets/favicon.svg"),
        ("regions", [(code, nem.REGION_BY_CODE[code].label) for code in nem.NEM_REGIONS]),
        (
            "html_attrs",
            f'lang="en" data-colours="{colours}"' + (f' data-theme="{mode}"' if mode else ""),
        ),
    ):
        template.add_variable(name, value)
    return template
