"""Where the parts stand on the page."""

from collections.abc import Mapping

import panel as pn
from panel.viewable import Viewable

from energydash import nem
from energydash.ui import bundled
from energydash.ui.hues import Colours
from energydash.ui.theme import Mode, css


def tabs(*views: Viewable) -> pn.Tabs:
    """Give the views of which one is there at a time; the toolbar has their tabs."""
    return pn.Tabs(
        *[(f"{n}", view) for n, view in enumerate(views)],
        dynamic=True,
        sizing_mode="stretch_both",
        stylesheets=[bundled.text("tabs.css")],
    )


def page(
    parts: Mapping[str, Viewable], mode: Mode | None, colours: Colours = "usual"
) -> pn.Template:
    """Give the document; `mode` is the theme that is known to be wanted, None: the system's."""
    template = pn.Template(bundled.text("page.html"))
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
