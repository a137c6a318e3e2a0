"""Who may see the page: names and bcrypt hashes from a password file, a log-in page, a signed cookie.

The file is what `htpasswd -B` writes, a line `name:$2y$…` for each reader. It is read once, at the start.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
from bokeh.server.auth_provider import AuthProvider
from tornado.template import Template
from tornado.web import RequestHandler

from energydash.errors import ConfigError
from energydash.ui import bundled
from energydash.ui.theme import css

logger = logging.getLogger(__name__)

COOKIE = "energydash_reader"
_DAYS = 7
_HASH = re.compile(rb"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_ADVICE = "write it with `htpasswd -Bc FILE NAME`"
# What bcrypt looks at; the library refuses more.
_LONGEST = 72
# Who waits longer than this is one of very many: each guess costs a quarter of a second, one at a time.
_WAIT_S = 5.0


class Passwords:
    """The readers of a password file."""

    def __init__(self, hashes: dict[str, bytes]) -> None:
        self._hashes = hashes
        # A name that nobody has takes as long as a wrong password.
        self._nobody = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(_cost(hashes)))
        self._gate = asyncio.Semaphore(1)

    async def admit(self, name: str, password: str) -> bool:
        """Whether they belong together; hashes are compared in constant time.

        Raises:
            TimeoutError: too many others are being looked at.
        """
        given = password.encode()
        if len(given) > _LONGEST:
            return False
        async with asyncio.timeout(_WAIT_S):
            await self._gate.acquire()
        try:
            matches = await asyncio.to_thread(
                bcrypt.checkpw, given, self._hashes.get(name, self._nobody)
            )
        finally:
            self._gate.release()
        return matches and name in self._hashes


def read_passwords(path: Path) -> Passwords:
    """Read a password file.

    Raises:
        ConfigError: it cannot be read, names nobody, or has a line that is no name with a bcrypt hash.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise ConfigError(f"--auth {path} cannot be read: {exc.strerror}: {_ADVICE}") from exc
    hashes = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, _, hashed = line.strip().partition(b":")
        if not name or not _HASH.fullmatch(hashed):
            # Never the line itself: it may hold a password.
            raise ConfigError(f"--auth {path} line {number} is no name:bcrypt-hash: {_ADVICE}")
        hashes[name.decode(errors="replace")] = hashed
    if not hashes:
        raise ConfigError(f"--auth {path} names nobody: {_ADVICE}")
    return Passwords(hashes)


def _cost(hashes: dict[str, bytes]) -> int:
    return max(int(hashed[4:6]) for hashed in hashes.values())


class Access(AuthProvider):
    """Bokeh's question who somebody is, answered by the cookie; beneath `prefix`."""

    def __init__(self, passwords: Passwords, prefix: str) -> None:
        about = {"passwords": passwords, "prefix": prefix}
        self._login = type("_Login", (_Login,), about)
        self._logout = type("_Logout", (_Logout,), about)
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Give the function that tells a request's reader, None where there is none."""
        return _reader

    @property
    def get_user_async(self) -> None:
        """There is no such function."""

    @property
    def login_url(self) -> str:
        """Where to log in; Bokeh puts the prefix before it."""
        return "/login"

    @property
    def get_login_url(self) -> None:
        """There is no such function."""

    @property
    def login_handler(self) -> type[RequestHandler]:
        """What answers there."""
        return self._login

    @property
    def logout_url(self) -> str:
        """Where to log out."""
        return "/logout"

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """What answers there."""
        return self._logout


def _reader(request: RequestHandler) -> str | None:
    name = request.get_signed_cookie(COOKIE, max_age_days=_DAYS)
    return name.decode(errors="replace") if name else None


class _Login(RequestHandler):
    """The log-in page."""

    passwords: Passwords
    prefix: str

    def get(self) -> None:
        """Show it."""
        self._show("")

    async def post(self) -> None:
        """Let in who gives a name and its password."""
        name = self.get_body_argument("name", "")
        try:
            admitted = await self.passwords.admit(name, self.get_body_argument("password", ""))
        except TimeoutError:
            self.set_status(429)
            self._show("Too many are logging in at the moment: try again soon.")
            return
        if not admitted:
            logger.warning("a log-in from %s was refused", self.request.remote_ip)
            self.set_status(403)
            self._show("This name and password are not known here.")
            return
        self.set_signed_cookie(
            COOKIE,
            name,
            expires_days=_DAYS,
            path=f"{self.prefix}/",
            httponly=True,
            samesite="Lax",
            secure=self.request.protocol == "https",
        )
        self.redirect(local(self.get_argument("next", ""), self.prefix))

    def _show(self, fault: str) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'")  # fmt: skip
        self.write(Template(bundled.text("login.html")).generate(css=css(), fault=fault))


class _Logout(RequestHandler):
    """Forgets who somebody is."""

    prefix: str

    def get(self) -> None:
        """Take the cookie back."""
        self.clear_cookie(COOKIE, path=f"{self.prefix}/")
        self.redirect(f"{self.prefix}/login")


def local(address: str, prefix: str) -> str:
    """Give an address to go on to, if it is one of ours; else the page."""
    page = f"{prefix}/"
    if (
        not address.startswith("/")
        or re.match(r"/[/\\]", address)
        or re.search(r"[\x00-\x20\\]", address)
    ):
        return page
    parts = urlsplit(address)
    return address if not parts.netloc and f"{parts.path}/".startswith(page) else page
