"""The commands around a running whole: `up`, `doctor`, `status`, `down`."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from energydash import alerting, config, console, process
from energydash import options as opt
from energydash.address import Access

_Port = Annotated[
    int | None, opt.option("--port", "Port of the dashboard (default: 8050).", min=1, max=65535)
]
_ServerPort = Annotated[
    int | None,
    opt.option("--server-port", "Port of the server (default: 8000).", min=1, max=65535),
]
_PortBase = Annotated[
    int | None,
    opt.option(
        "--port-base", "First of three ports: page, server, broker.", min=1024, max=65533
    ),
]
_Broker = Annotated[str, opt.option("--broker", "embedded, or an MQTT broker's address.")]


def up(
    data_dir: opt.DataDir = opt.DATA,
    source: opt.Source = opt.SourceName.auto,
    replay: Annotated[
        Path | None,
        opt.option("--replay", "Show what was fetched or converted into this folder instead."),
    ] = None,
    broker: _Broker = "embedded",
    ca_file: opt.CaFile = None,
    cert_file: opt.CertFile = None,
    key_file: opt.KeyFile = None,
    mqtt_version: opt.Version = "3.1.1",
    speed: Annotated[
        float, opt.option("--speed", "Simulated seconds per second.", min=0.1)
    ] = 60,
    keep_days: Annotated[
        float, opt.option("--keep-days", "Days of the real grid that are kept.", min=2)
    ] = 7,
    host: Annotated[str, opt.option("--host", "Address of the dashboard.")] = "127.0.0.1",
    port: _Port = None,
    server_port: _ServerPort = None,
    port_base: _PortBase = None,
    show_ui: Annotated[
        bool, opt.option("--ui/--no-ui", "--no-ui leaves the dashboard out.")
    ] = True,
    token: opt.Token = None,
    auth: opt.Auth = None,
    alerts: opt.Alerts = alerting.DEFAULT,
    open_browser: opt.Open = True,
    insecure: opt.Insecure = False,
    detach: Annotated[
        bool, opt.option("--detach", "Go on in the background; `energydash down` ends it.")
    ] = False,
    base_url: opt.BaseUrl = config.OPENELECTRICITY_URL,
    nemweb_url: opt.NemwebUrl = config.NEMWEB_URL,
    seed: opt.Seed = 1,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Do all of it: fetch, convert, broker, publish, serve and dashboard, supervised."""
    console.begin("up", log_level, debug=debug)
    if detach:
        _detach(data_dir, open_browser=open_browser and show_ui, quiet=quiet, as_json=as_json)
        return
    alerting.parse(alerts)
    from energydash import up as supervisor
    from energydash.sources.choose import settled_live
    from energydash.supervise.family import Family

    # A replay asks no source for anything.
    of = source.value if replay else settled_live(source.value, config.api_key(), nemweb_url, base_url, data_dir / "live")  # fmt: skip
    settings = config.UpSettings(
        data_dir=data_dir, source=of, base_url=base_url, nemweb_url=nemweb_url, replay=replay, broker=broker,
        access=Access(ca_file=ca_file, cert_file=cert_file, key_file=key_file, version=mqtt_version), speed=speed, host=host, port=port,
        server_port=server_port, port_base=port_base, ui=show_ui, token=opt.secret(token), open_browser=open_browser,
        insecure=insecure, auth=auth, alerts=alerts, seed=seed, quiet=quiet or as_json, log_level=log_level, keep_days=keep_days,
    )  # fmt: skip
    family = Family()
    process.run(supervisor.run(settings, family), family.kill)


def _detach(data_dir: Path, *, open_browser: bool, quiet: bool, as_json: bool) -> None:
    from energydash.supervise import remote, view

    if not quiet:
        console.say("energydash: starting in the background", err=True)
    now = remote.detach(sys.argv[1:], data_dir / "live")
    if not quiet or as_json:
        console.report(now, as_json=as_json, text=view.headline)
    if open_browser:
        webbrowser.open(now.page)


def status(
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show the parts of the `up` that runs; exit 1 where none does, or not all of it is ready."""
    console.begin("status", log_level, debug=debug)
    from rich.console import Console

    from energydash.supervise import remote, view

    now = remote.status(data_dir / "live")
    if as_json:
        console.report(now, as_json=True)
    elif not quiet:
        console_of = Console()
        width = console_of.width if console_of.is_terminal else 200
        Console(width=width).print(view.picture(now, width))
    if not now.ready:
        raise typer.Exit(1)


def down(
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """End the `up` that runs, and all its parts."""
    console.begin("down", log_level, debug=debug)
    from energydash.supervise import remote

    was_there = remote.down(data_dir / "live")
    if not quiet:
        console.say("ended" if was_there else f"nothing runs in {data_dir / 'live'}", err=True)


def doctor(
    data_dir: opt.DataDir = opt.DATA,
    broker: _Broker = "embedded",
    ca_file: opt.CaFile = None,
    cert_file: opt.CertFile = None,
    key_file: opt.KeyFile = None,
    mqtt_version: opt.Version = "3.1.1",
    port: _Port = None,
    server_port: _ServerPort = None,
    port_base: _PortBase = None,
    base_url: opt.BaseUrl = config.OPENELECTRICITY_URL,
    nemweb_url: opt.NemwebUrl = config.NEMWEB_URL,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Look at what energydash needs, and say of each whether it is well or what to do; exit 1 where something is not."""
    console.begin("doctor", log_level, debug=debug)
    access = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file, "version": mqtt_version}  # fmt: skip
    wanted = None if broker == "embedded" else opt.broker_at(broker, None, None, **access)
    from energydash import doctor as practice

    ports = config.ports_of(port, server_port, port_base)
    found = process.run(
        practice.examine(
            data_dir, broker=wanted, ports=ports, base_url=base_url, nemweb_url=nemweb_url
        )
    )
    if not quiet or as_json:
        console.report(found, as_json=as_json, text=practice.describe)
    if not found.well:
        raise typer.Exit(1)
