"""The OpenAPI document, and that the server is as it says: Schemathesis asks what the document allows, and what it does not."""

import schemathesis
from hypothesis import settings
from schemathesis.checks import positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from test_server import CATALOGUE, power, price

from energydash.config import Broker, ServeSettings, parse_tokens
from energydash.server import app
from energydash.server.fanout import Fanout
from energydash.server.hub import Hub
from energydash.server.limits import Doorkeeper, Limits

DOCUMENT = "/schema/openapi.json"
# The client's name for the server; a stranger's name is refused.
ORIGIN = "http://testserver"
TOKEN = "s3cret"


def fed_app(*tokens: str):
    hub = Hub()
    hub.broker_state(connected=True)
    hub.catalogue(CATALOGUE)
    hub.facilities([power(code, i, 100.0 + i) for i in range(3) for code in ("COAL", "FARM")])
    hub.market([price(i, 50.0 + i, region) for i in range(3) for region in (None, "NSW1")])
    fanout = Fanout(hub)
    fanout.tick(with_status=False)
    serve = ServeSettings(
        broker=Broker(), allow_origin=(ORIGIN,), tokens=parse_tokens(list(tokens))
    )
    return app.create_app(serve, fanout, Doorkeeper(Limits()))


def api_of(app):
    # The seed and no database make each run the same.
    config = SchemathesisConfig(seed=1)
    return schemathesis.openapi.from_asgi(DOCUMENT, app, config=config)


ANYBODY = settings(max_examples=30, deadline=None, derandomize=True, database=None)
HOLDER = settings(ANYBODY, max_examples=10)
OPEN = api_of(fed_app())
GUARDED = api_of(fed_app(TOKEN))


def check(case, **more):
    # Which names the grid has, no document knows beforehand: one that it has not is refused with those that it has.
    named = {"region", "fuel", "status", "network"} & set(case.query or {})
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if named else [], **more)


@OPEN.parametrize()
@ANYBODY
def test_every_route_does_what_the_document_says(case):
    check(case)


@GUARDED.parametrize()
@HOLDER
def test_behind_a_token_too(case):
    """Schemathesis asks without the token as well, and with a wrong one, and has to be refused."""
    check(case, headers={"Authorization": f"Bearer {TOKEN}"})
