"""The server's own cache: for some minutes, the same question gets the same bytes."""

import zlib

from standin_faults import Reply

_JSON = ("content-type", "application/json")


class Cache:
    """Bodies by question and key, as old as the stand-in's clock says; refusals are never kept."""

    def __init__(self):
        self._kept = {}

    def reply(self, question, life_s, now, headers, make):
        """Give the kept reply, or make one: `no-cache` makes one anew, `no-store` keeps out of it all."""
        control = headers.get("cache-control")
        if control == "no-store":
            return Reply(200, make())
        made, content = self._kept.get(question, (None, b""))
        age_s = None if made is None else int((now - made).total_seconds())
        if age_s is None or not 0 <= age_s <= life_s or control == "no-cache":
            content = make()
            self._kept[question] = now, content
            return Reply(200, content, self._headers("MISS", life_s, content))
        kept = self._headers("HIT", life_s - age_s, content)
        if headers.get("if-none-match") == dict(kept)["etag"]:
            return Reply(304, b"", kept[1:])
        return Reply(200, content, kept)

    def _headers(self, word, left_s, content):
        return (
            _JSON, ("cache-control", f"max-age={left_s}"), ("etag", f"W/{zlib.crc32(content)}"), ("x-fastapi-cache", word),
        )  # fmt: skip
