"""The page's HTML: it is answered at once, and its session is built while the browser takes up the scripts.

Bokeh would build the session first. It need not: a browser finds its session by the token, and the places of its parts by their order.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

import panel as pn
from bokeh.server.tornado import BokehTornado
from bokeh.util.token import generate_jwt_token, generate_session_id
from panel.io.resources import Resources, bundle_resources, get_env
from panel.io.server import DocHandler
from tornado.web import authenticated

from energydash import nem
from energydash.ui import address, bundled, first, layout
from energydash.ui.hues import COLOURS, Colours
from energydash.ui.store import Store
from energydash.ui.theme import Mode, css

THEME_COOKIE = "energydash_theme"
COLOURS_COOKIE = "energydash_colours"
# No picture here is drawn by WebGL.
_UNUSED = "bokeh-gl"


def query(arguments: Mapping[str, list[bytes]]) -> str:
    """Give the query that a page was asked for with."""
    return urlencode(
        [(name, values[0].decode(errors="replace")) for name, values in arguments.items() if values]
    )  # fmt: skip


def mode_of(look: address.Look, cookies: Mapping[str, str]) -> Mode | None:
    """Give the theme that is asked for, or else the one that this browser chose before, if any."""
    match look.theme or cookies.get(THEME_COOKIE):
        case "dark":
            return "dark"
        case "light":
            return "light"
    return None


def colours_of(look: address.Look, cookies: Mapping[str, str]) -> Colours:
    """Give the set of colours that is asked for, or else the one that this browser chose before."""
    chosen = look.colours or cookies.get(COLOURS_COOKIE)
    return next((each for each in COLOURS if each == chosen), "usual")


class Front(DocHandler):
    """`/`: the document."""

    def initialize(self, store: Store, **given: Any) -> None:
        """Take what there is to show."""
        super().initialize(**given)
        self._store = store

    @authenticated
    async def get(self, *_args: str, **_parameters: str) -> None:
        """Answer; then build the session that the page will ask for."""
        app, context = self.application, self.application_context
        if app.prefix and self.request.path == app.prefix:
            self.redirect(f"{app.prefix}/" + (f"?{self.request.query}" if self.request.query else ""))  # fmt: skip
            return
        signing: dict[str, Any] = {"secret_key": app.secret_key, "signed": app.sign_sessions}
        number = generate_session_id(**signing)
        token = generate_jwt_token(
            number, **signing, expiration=app.session_token_expiration, extra_payload={**self._generate_token_payload()}
        )  # fmt: skip
        look, _ = address.from_query(query(self.request.arguments))
        cookies = {name: morsel.value for name, morsel in self.request.cookies.items()}
        self.set_header("Content-Type", "text/html; charset=utf-8")
        # The token is for one page.
        self.set_header("Cache-Control", "no-store")
        page = {
            "token": token,
            "mode": mode_of(look, cookies),
            "colours": colours_of(look, cookies),
        }
        self.finish(_html(app, first.told(self._store, look), page))
        await app.create_session_if_needed(context, number, self.request, token)


def take_over(app: BokehTornado, prefix: str, store: Store) -> None:
    """Let `Front` answer where Bokeh's own page would."""
    context = app.applications["/"]
    given = {
        "store": store,
        "application_context": context,
        "bokeh_websocket_path": f"{prefix}/ws",
    }
    app.add_handlers(".*", [(f"{prefix}/?", Front, given)])


def _html(app: BokehTornado, told: str, page: dict[str, Any]) -> str:
    text: str = _template().render(**_same_for_all(app), **page, told=told)
    return text


@cache
def _template() -> Any:
    return get_env().from_string(bundled.text("page.html"))


@cache
def _same_for_all(app: BokehTornado) -> dict[str, Any]:
    bundle = bundle_resources([], Resources.from_bokeh(app.resources()))
    scripts = [str(each.url) for each in bundle.js_files if _UNUSED not in str(each.url)]
    return {
        # What has its version in its address a browser keeps, and does not ask for again.
        "scripts": [url if "?v=" in url else f"{url}?v={pn.__version__}" for url in scripts],
        "declared": bundle.resource_declarations,
        "theme_css": css(),
        "page_css": bundled.text("page.css"),
        "parts": layout.PARTS,
        "first": first.script(),
        "regions": [(code, nem.REGION_BY_CODE[code].label) for code in nem.NEM_REGIONS],
    }
