"""Who may see the page: a password file, a log-in, a prefix, and what needs neither."""

import re
import time
from datetime import datetime
from unittest.mock import Mock

import bcrypt
import httpx
import pytest
import websockets
from bokeh.util.token import get_token_payload
from hypothesis import example, given
from hypothesis import strategies as st
from processes import energydash, free_port, running, wait_until
from proxying import proxying
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler, create_signed_value
from websockets.sync.client import connect

from energydash import config, nem, schema
from energydash.errors import ConfigError
from energydash.ui import access, health
from energydash.ui.store import Store

PREFIX = "/grid"
NAME, PASSWORD = "ada", "correct horse"


def hashed(password):
    # The least cost: the tests' own passwords need no guarding.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def password_file(folder, *lines):
    path = folder / "readers"
    path.write_text("\n".join(lines or [f"{NAME}:{hashed(PASSWORD)}"]) + "\n")
    return path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A page that asks for a log-in, behind a reverse proxy; no server is needed to ask for one."""
    folder = tmp_path_factory.mktemp("guarded")
    port = free_port()
    arguments = (
        "ui", "--backend", f"ws://127.0.0.1:{free_port()}/ws/realtime", "--port", str(port), "--no-open",
        "--auth", str(password_file(folder)), "--prefix", "grid/",
    )  # fmt: skip
    with proxying(PREFIX, port) as proxy:
        origin = f"http://127.0.0.1:{proxy.port}"
        with running(*arguments, "--allow-origin", origin, cwd=folder):
            url = f"{origin}{PREFIX}"
            wait_until(lambda: status(f"{url}/liveness") == 200, 90, "the page lives")
            yield url


def status(url):
    try:
        return httpx.get(url, timeout=60).status_code
    except httpx.HTTPError:
        return 0


def log_in(client, url, name=NAME, password=PASSWORD, query=""):
    return client.post(f"{url}/login{query}", data={"name": name, "password": password})


def test_without_a_log_in_there_is_a_log_in_page_and_nothing_else(guarded):
    with httpx.Client(timeout=60) as client:
        answer = client.get(f"{guarded}/")
        assert answer.status_code == 302
        assert answer.next_request.url.path == f"{PREFIX}/login"
        page = client.get(f"{guarded}/login")
    assert page.status_code == 200
    # A namespace is no request.
    assert set(re.findall(r"https?://[^'\"\s>]+", page.text)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page.headers["content-security-policy"]
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(
            f"{guarded.replace('http', 'ws')}/ws",
            subprotocols=["bokeh", "made.up"],
            open_timeout=60,
        )
    assert refused.value.response.status_code == 403


def test_the_right_password_opens_the_page_and_its_socket(guarded):
    with httpx.Client(timeout=60) as client:
        answer = log_in(client, guarded, query="?next=/grid/%3Fregion=NSW1")
        assert answer.status_code == 302
        assert answer.headers["location"] == "/grid/?region=NSW1"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "path=/grid/" in cookie
        page = client.get(f"{guarded}/")
        assert page.status_code == 200
        token = re.search(r'"token":"([^"]+)"', page.text).group(1)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        client.get(f"{guarded}/logout")
        assert client.get(f"{guarded}/").status_code == 302
    with connect(
        f"{guarded.replace('http', 'ws')}/ws",
        subprotocols=["bokeh", token],
        additional_headers={"Cookie": cookies},
        open_timeout=60,
    ) as socket:
        assert "ACK" in socket.recv(timeout=60)


def test_pages_of_other_origins_may_not_open_the_socket(guarded):
    own = guarded.removesuffix(PREFIX)
    with httpx.Client(timeout=60) as client:
        log_in(client, guarded)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())

        def open_from(origin):
            token = re.search(r'"token":"([^"]+)"', client.get(f"{guarded}/").text).group(1)
            return connect(
                f"{guarded.replace('http', 'ws')}/ws",
                subprotocols=["bokeh", token],
                additional_headers={"Cookie": cookies},
                open_timeout=60,
                origin=origin,
            )

        with open_from(own) as socket:
            assert "ACK" in socket.recv(timeout=60)
        with pytest.raises(websockets.InvalidStatus) as refused:
            open_from("https://elsewhere.example")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("name", "password"),
    [(NAME, "wrong"), (NAME, ""), ("nobody", PASSWORD), ("", ""), (NAME, "x" * 200)],
)
def test_anything_else_is_refused_in_the_same_words(guarded, name, password):
    with httpx.Client(timeout=60) as client:
        answer = log_in(client, guarded, name, password)
        assert answer.status_code == 403
        assert "not known here" in answer.text
        assert client.get(f"{guarded}/").status_code == 302


def test_a_forged_cookie_is_nobodys(guarded):
    with httpx.Client(timeout=60, cookies={access.COOKIE: "2|1:0|10:1|17:energydash_reader|4:YWRh|00"}) as client:  # fmt: skip
        assert client.get(f"{guarded}/").status_code == 302


def test_who_watches_over_processes_needs_no_log_in(guarded):
    assert httpx.get(f"{guarded}/liveness", timeout=60).json() == {"alive": True}
    answer = httpx.get(f"{guarded}/readiness", timeout=60)
    assert answer.status_code == 503
    assert answer.json()["stage"] == "connecting"


def test_ready_is_who_has_a_grid_to_show():
    store = Store()
    assert not health.health(store).ready
    station = schema.FacilityInfo(code="A", name="A", network="NEM", region="NSW1", fueltech="wind", status="operating")  # fmt: skip
    moment = datetime(2026, 3, 1, tzinfo=nem.NEM_ZONE)
    store.apply(
        schema.InitialData(
            seq=1, source="demo", simulated=True, facilities=(station,), values=schema.FacilityValues()
        )
    )  # fmt: skip
    store.apply(
        schema.InitialCharts(seq=1, times=(moment,), scopes=(schema.ScopeSeries(scope="NEM"),))
    )
    told = health.health(store)
    assert told.ready
    assert told.event_time == moment.isoformat()


@given(st.text(max_size=30))
@example("//evil.example/grid/")
@example("/\\evil.example")
@example("/grid/../..//evil.example")
@example("https://evil.example/grid/")
@example("/gridlock")
def test_a_log_in_never_leads_elsewhere(address):
    to = access.local(address, PREFIX)

    assert to == f"{PREFIX}/" or to.startswith((f"{PREFIX}/", f"{PREFIX}?", f"{PREFIX}#")) or to == PREFIX  # fmt: skip
    assert httpx.URL("http://here").join(to).host == "here"


@pytest.mark.parametrize(
    ("lines", "about"),
    [
        (["ada:plain secret"], "line 1"),
        (["# nobody", ""], "names nobody"),
        ([":" + "$2b$04$" + "a" * 53], "line 1"),
        (["ada:$6$salt$" + "a" * 40], "line 1"),
    ],
)
def test_a_password_file_that_is_none_is_one_line_without_the_secret(tmp_path, lines, about):
    with pytest.raises(ConfigError, match=about) as refused:
        access.read_passwords(password_file(tmp_path, *lines))
    assert "secret" not in str(refused.value)
    assert "htpasswd" in str(refused.value)


def test_beyond_this_machine_only_with_a_log_in(tmp_path):
    done = energydash("ui", "--host", "0.0.0.0", "--no-open", "--port", str(free_port()), cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2
    assert "--auth" in done.stderr

    port = free_port()
    arguments = ("ui", "--host", "0.0.0.0", "--no-open", "--port", str(port), "--auth", str(password_file(tmp_path)))  # fmt: skip
    with running(*arguments, cwd=tmp_path):
        wait_until(
            lambda: status(f"http://127.0.0.1:{port}/") == 302, 90, "it asks for a log-in"
        )


@pytest.mark.parametrize(("text", "prefix"), [("", ""), ("/", ""), ("grid", "/grid"), ("/a/b/", "/a/b")])  # fmt: skip
def test_a_prefix_is_a_path(text, prefix):
    assert config.parse_prefix(text) == prefix


@pytest.mark.parametrize("text", ["/a b", "/a?b", "/a\n", "/<b>"])
def test_what_is_no_path_is_no_prefix(text):
    with pytest.raises(ConfigError, match="--prefix"):
        config.parse_prefix(text)


@pytest.mark.parametrize("text", ["grid.example.org", "ftp://a", "https://", "https://a/b"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ConfigError, match="--allow-origin"):
        config.origin_host(text)


def test_a_page_that_stays_open_keeps_its_token_but_no_right_without_its_cookie(guarded):
    with httpx.Client(timeout=60) as client:
        log_in(client, guarded)
        token = re.search(r'"token":"([^"]+)"', client.get(f"{guarded}/").text).group(1)
    assert get_token_payload(token)["session_expiry"] > time.time() + 365 * 24 * 3600

    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(
            f"{guarded.replace('http', 'ws')}/ws",
            subprotocols=["bokeh", token],
            open_timeout=60,
        )
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(("days", "reader"), [(6, NAME), (8, None)])
def test_a_log_in_ends_after_a_week(tmp_path, days, reader):
    secret = "a secret of this test alone"
    then = time.time() - days * 24 * 3600
    cookie = create_signed_value(secret, access.COOKIE, NAME, clock=lambda: then).decode()
    headers = HTTPHeaders({"Cookie": f"{access.COOKIE}={cookie}", "Host": "here"})
    request = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=headers, connection=Mock())  # fmt: skip
    handler = RequestHandler(Application(cookie_secret=secret), request)

    asked = access.Access(access.read_passwords(password_file(tmp_path)), "").get_user
    assert asked(handler) == reader
