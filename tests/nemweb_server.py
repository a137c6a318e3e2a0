"""A loopback server that behaves as AEMO's file server does: listings, zip files, conditional requests, and what goes wrong."""

import hashlib
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime
from email.utils import format_datetime


class Reply:
    """What to answer instead: a status, or a body that breaks off."""

    def __init__(self, status=200, body=b"", headers=(), *, breaks_off=False):
        self.status, self.body, self.headers, self.breaks_off = (
            status,
            body,
            headers,
            breaks_off,
        )


class Nemweb:
    """A tree of files; a test may change `files` at any time, and queue `faults` for a path."""

    def __init__(self, files):
        self.url = ""
        self._files = dict(files)
        self._lock = threading.Lock()
        self.faults = defaultdict(deque)
        self.requests = []
        self.sent = 0

    def publish(self, *files):
        with self._lock:
            self._files.update(files)

    def remove(self, path):
        with self._lock:
            del self._files[path]

    @property
    def asked(self):
        """The paths that were asked for, without their first slash."""
        return [path for path, _ in self.requests]

    def count(self, part):
        return sum(part in path for path in self.asked)

    async def __call__(self, scope, _receive, send):
        if scope["type"] != "http":
            return
        path = scope["path"].lstrip("/")
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.requests.append((path, headers))
        reply = self.faults[path].popleft() if self.faults[path] else self.reply(path, headers)
        length = len(reply.body) * 2 if reply.breaks_off else len(reply.body)
        given = [(k.encode(), v.encode()) for k, v in reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": [*given, (b"content-length", str(length).encode())]})  # fmt: skip
        body = b"" if scope["method"] == "HEAD" else reply.body
        self.sent += len(body)
        await send({"type": "http.response.body", "body": body, "more_body": reply.breaks_off})
        if reply.breaks_off:
            raise ConnectionError

    def reply(self, path, headers):
        with self._lock:
            if path.endswith("/"):
                names = sorted(name[len(path) :] for name in self._files if name.lower().startswith(path.lower()))  # fmt: skip
                return Reply(body=listing(path, names)) if names else Reply(404)
            content = self._files.get(path)
        if content is None:
            return Reply(404)
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        known = (("etag", etag), ("last-modified", format_datetime(datetime(2026, 3, 1, tzinfo=UTC))))  # fmt: skip
        if headers.get("if-none-match") == etag:
            return Reply(304, headers=known)
        return Reply(body=content, headers=known)


def listing(path, names):
    """A folder as the server shows it: absolute links, capitals where it likes, a parent and a subfolder."""
    here = "/" + path.replace("Current", "CURRENT")
    rows = "".join(f'  Sunday, March 1, 2026 12:0{n % 10} PM   3071 <A HREF="{here}{name}">{name}</A><br>' for n, name in enumerate(names) if "/" not in name)  # fmt: skip
    return f"""<html><head><title>nemweb - {here}</title></head><body><H1>nemweb - {here}</H1><hr>

<pre><A HREF="/Reports/">[To Parent Directory]</A><br><br> Friday, May 12, 2017 10:56 AM &lt;dir&gt; <A HREF="{here}DUPLICATE/">DUPLICATE</A><br>{rows}</pre><hr></body></html>""".encode()
