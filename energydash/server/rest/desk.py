"""Where every answer passes: in the form that is asked for, made once for each change, and not sent to who holds it."""

import asyncio
import gzip
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from litestar import Request, Response

from energydash.files import export
from energydash.files.export import Column
from energydash.server.fanout import Fanout
from energydash.server.kept import Kept
from energydash.server.rest import negotiation
from energydash.server.rest.negotiation import Form, FormatName

_KEPT_BYTES = 32 * 1024 * 1024
_KEPT_MOST = 1000
# Below it the compressed answer is hardly smaller.
_WORTH_ZIPPING = 1000
_LEVEL = 5
_ALL: tuple[FormatName, ...] = ("json", "csv", "arrow")

type Asked = Request[Any, Any, Any]
type Pages = Mapping[str, Mapping[str, Any]]


class Ask[T](NamedTuple):
    """How one route's answer comes about.

    `moment` says of what state it would be made, cheaply; `document` makes it of the hub, on the event loop, with the
    parameters of the pages around it by their relation; `columns` give it as a table, in a thread.
    """

    moment: Callable[[], Hashable]
    document: Callable[[], tuple[T, Pages]]
    columns: Callable[[T], Sequence[Column]] | None = None
    name: str = "energydash"


class _Made(NamedTuple):
    body: bytes
    headers: dict[str, str]


class Desk:
    """Answers for one fan-out; `private`: only who showed a token may keep a copy."""

    def __init__(self, fanout: Fanout, *, private: bool) -> None:
        self.hub = fanout.hub
        self.fanout = fanout
        self._cache_control = "private, no-cache" if private else "no-cache"
        self._kept = Kept[_Made](_KEPT_BYTES, _KEPT_MOST)
        # One encoding at a time: many who ask at once get one answer, and the loop keeps a core.
        self._making = asyncio.Lock()

    async def answer(
        self, request: Asked, ask: Ask[Any], asked: FormatName | None = None
    ) -> Response[Any]:
        """Give the answer, or 304 to who holds it already.

        Raises:
            NotAcceptableError: the client takes none of the formats.
        """
        form = Form(
            negotiation.chosen_format(
                asked, request.headers.get("accept", ""), _ALL if ask.columns else _ALL[:1]
            ),
            negotiation.takes_gzip(request.headers.get("accept-encoding", "")),
        )
        held = request.headers.get("if-none-match")
        # Each list is a resource of its own by its parameters, in whatever order they were given.
        address = (request.url.path, *sorted(request.query_params.multi_items()))
        moment = ask.moment()
        tag = self._tag(address, form, moment)
        if negotiation.is_current(held, tag):
            return Response(None, status_code=304, headers=self._headers(tag))
        made = self._kept.get((address, form), moment)
        if made is None:
            made = await self._make(address, form, ask, request)
        return Response(
            made.body, media_type=negotiation.MEDIA_TYPES[form.format], headers=made.headers
        )

    async def _make(
        self, address: Hashable, form: Form, ask: Ask[Any], request: Asked
    ) -> _Made:
        async with self._making:
            # From here to the thread nothing else runs: the tag belongs to the document.
            moment = ask.moment()
            made = self._kept.get((address, form), moment)
            if made is not None:
                return made
            headers = self._headers(self._tag(address, form, moment))
            document, pages = ask.document()
            body = await asyncio.to_thread(_rendered, ask.columns, document, form.format)
            if form.gzip and len(body) >= _WORTH_ZIPPING:
                body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
                headers["content-encoding"] = "gzip"
            if pages:
                headers["link"] = _links(request, pages)
            if form.format != "json":
                name = f"{_plain(ask.name)}.{negotiation.EXTENSIONS[form.format]}"
                headers["content-disposition"] = f'attachment; filename="{name}"'
            made = _Made(body, headers)
            size = len(body) + len(request.url.query)
            self._kept.put((address, form), moment, made, size)
            return made

    def _tag(self, address: Hashable, form: Form, moment: Hashable) -> str:
        """Give the weak tag: the same content may have been compressed or not."""
        told = repr((address, form.format, moment)).encode()
        return f'W/"{self.hub.stream}.{blake2b(told, digest_size=12).hexdigest()}"'

    def _headers(self, tag: str) -> dict[str, str]:
        return {
            "etag": tag,
            "cache-control": self._cache_control,
            "vary": "Accept, Accept-Encoding",
        }


def _rendered[T](
    columns: Callable[[T], Sequence[Column]] | None, document: T, format_: FormatName
) -> bytes:
    if format_ == "json" or columns is None:
        return msgspec.json.encode(document)
    write = export.csv if format_ == "csv" else export.arrow
    return write(columns(document))


def _links(request: Asked, pages: Pages) -> str:
    """Give the `Link` header (RFC 8288); its targets are relative, since a proxy may stand before us."""
    given = dict(request.query_params.items())
    return ", ".join(
        f'<{quote(request.url.path)}?{urlencode({**given, **changed})}>; rel="{relation}"'
        for relation, changed in pages.items()
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:100]
