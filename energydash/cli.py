"""The command line: options to settings to one call; the only place that prints results and exits."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from energydash import __version__, config, log, nem, process, progress
from energydash import options as opt
from energydash.errors import ConfigError, EnergydashError

_DEBUG = "ENERGYDASH_DEBUG"

app = typer.Typer(
    name="energydash",
    help="Australia's power grid, live on one screen and on one wire.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"energydash {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which version.", callback=_say_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Australia's power grid, live on one screen and on one wire."""


def _begin(command: str, log_level: str, *, debug: bool) -> None:
    log.set_up(command, level=log_level)
    if debug:
        os.environ[_DEBUG] = "1"


def _announce(url: str, *, quiet: bool, as_json: bool) -> None:
    """Say where a service listens."""
    if as_json:
        typer.echo(msgspec.json.encode({"url": url}).decode())
    elif not quiet:
        typer.echo(f"{url} (Ctrl-C ends it)", err=True)


def _tell(text: str, *, quiet: bool) -> None:
    """Say what a user should read while the work goes on."""
    logging.getLogger(__name__).info("%s", text)
    if not quiet:
        typer.echo(text, err=True)


def _report(summary: msgspec.Struct, *, as_json: bool) -> None:
    """Print what a command did: one JSON object, or a line for each fact that there is."""
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    for name, value in msgspec.to_builtins(summary).items():
        if value is None or value in ({}, []):
            continue
        text = f"{value:,}" if type(value) is int else value
        if isinstance(value, dict):
            text = ", ".join(f"{word} ({count})" for word, count in value.items())
        typer.echo(f"{name.replace('_', ' '):<28} {text}")


def _run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(process.until_terminated(coroutine))


@app.command()
def fetch(
    data_dir: opt.DataDir = opt.DATA,
    source: opt.Source = opt.SourceName.auto,
    start: opt.Start = None,
    end: opt.End = None,
    days: opt.Days = 7,
    interval: opt.Interval = "5m",
    network: opt.Network = nem.NETWORK,
    status: opt.Status = "operating",
    batch_size: opt.BatchSize = 30,
    batch_delay: opt.BatchDelay = 0.5,
    rate: opt.Rate = 2,
    concurrency: opt.Concurrency = 4,
    retries: opt.Retries = 5,
    follow: Annotated[
        bool, opt.option("--follow", "Go on with what the grid does, until stopped.")
    ] = False,
    every: opt.Every = 60,
    dry_run: opt.DryRun = False,
    restart: opt.Restart = False,
    base_url: opt.BaseUrl = config.OPENELECTRICITY_URL,
    seed: opt.Seed = 1,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Get the catalogue, every unit's power and emissions, and the market, into data/*.json."""
    _begin("fetch", log_level, debug=debug)
    until = opt.moment(end, network) or nem.floor_interval(nem.now())
    since = opt.moment(start, network) or until - timedelta(days=days)
    if since >= until:
        raise ConfigError(
            f"the window is empty: --start {since.isoformat()} is not before --end {until.isoformat()}"
        )
    settings = config.FetchSettings(
        data_dir=data_dir, source=source.value, start=since, end=until, interval=interval,
        network=network, status=status, batch_size=batch_size, batch_delay_s=batch_delay,
        api_key=config.api_key(), base_url=base_url, seed=seed, rate=rate, concurrency=concurrency,
        retries=retries, dry_run=dry_run, restart=restart, fixed=start is not None or end is not None, open_end=end is None, every_s=every,
    )  # fmt: skip
    from energydash import fetch as job
    from energydash.sources.choose import make_source

    do = job.follow if follow else job.run
    with progress.shown("fetch", quiet=quiet) as show:
        summary = _run(do(settings, make_source(settings), show, partial(_tell, quiet=quiet)))
    if isinstance(summary, job.Planned) and not as_json:
        typer.echo(job.describe(summary, nem.now()))
    elif summary is not None:
        _report(summary, as_json=as_json)


@app.command()
def convert(
    data_dir: opt.DataDir = opt.DATA,
    input_dir: Annotated[
        Path | None,
        opt.option("--input-dir", "Folder of the raw answers (default: --data-dir)."),
    ] = None,
    output_dir: Annotated[
        Path | None,
        opt.option("--output-dir", "Folder of the tables (default: csv_output in it)."),
    ] = None,
    table_format: Annotated[
        opt.TableFormat, opt.option("--format", "How to write.")
    ] = opt.TableFormat.csv,
    strict: Annotated[bool, opt.option("--strict", "Fail where the data is doubtful.")] = False,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Turn the raw answers into exact tables: one row for a station and an interval."""
    _begin("convert", log_level, debug=debug)
    folder = input_dir or data_dir
    tables = output_dir or folder / "csv_output"
    settings = config.ConvertSettings(
        input_dir=folder, output_dir=tables, format=table_format.value
    )
    from energydash import convert as job

    with progress.shown("convert", quiet=quiet) as show:
        summary = job.run(settings, show)
    typer.echo(msgspec.json.encode(summary).decode() if as_json else job.report(summary))
    if strict:
        job.refuse_doubts(summary)


@app.command()
def publish(
    data_dir: opt.DataDir = opt.DATA,
    broker: opt.BrokerUrl = opt.BROKER,
    broker_host: opt.BrokerHost = None,
    broker_port: opt.BrokerPort = None,
    facility_csv: Annotated[
        Path | None,
        opt.option("--facility-csv", "Table of the stations' values (default: in --data-dir)."),
    ] = None,
    market_csv: Annotated[
        Path | None,
        opt.option("--market-csv", "Table of the market's values (default: in --data-dir)."),
    ] = None,
    facility_topic: opt.FacilityTopic = config.FACILITY_TOPIC,
    market_topic: opt.MarketTopic = config.MARKET_TOPIC,
    qos: Annotated[int, opt.option("--qos", "MQTT quality of service.", min=0, max=2)] = 0,
    speed: Annotated[
        str, opt.option("--speed", "Event seconds per wall second, or max.")
    ] = "60",
    delay: Annotated[
        float, opt.option("--delay", "Least seconds between messages.", min=0)
    ] = 0.0,
    loop: Annotated[bool, opt.option("--loop", "Start again at the end.")] = False,
    follow: Annotated[bool, opt.option("--follow", "Go on with what the tables gain.")] = False,
    backfill_until: Annotated[
        str | None,
        opt.option(
            "--backfill-until",
            "Send all up to this time (or: now) at once, before the pacing begins.",
        ),
    ] = None,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Stream the tables to an MQTT broker in event-time order."""
    _begin("publish", log_level, debug=debug)
    tables = data_dir / "csv_output"
    settings = config.PublishSettings(
        broker=opt.broker_at(broker, broker_host, broker_port),
        facility_csv=facility_csv or tables / "facility_metrics_wide.csv",
        market_csv=market_csv or tables / "market_metrics_data.csv",
        facility_topic=facility_topic, market_topic=market_topic, qos=qos, speed=opt.speed_of(speed),
        delay_s=delay, loop=loop, follow=follow,
        backfill_until=opt.moment(backfill_until, nem.NETWORK),
    )  # fmt: skip
    from energydash.stream import publisher

    with progress.shown("publish", quiet=quiet) as show:
        summary = _run(publisher.run(settings, show))
    _report(summary, as_json=as_json)


@app.command()
def serve(
    broker: opt.BrokerUrl = opt.BROKER,
    broker_host: opt.BrokerHost = None,
    broker_port: opt.BrokerPort = None,
    host: opt.Host = "127.0.0.1",
    port: Annotated[int, opt.option("--port", "Port to listen on.")] = 8000,
    token: opt.Tokens = None,
    allow_origin: opt.AllowOrigin = None,
    insecure: opt.Insecure = False,
    facility_topic: opt.FacilityTopic = config.FACILITY_TOPIC,
    market_topic: opt.MarketTopic = config.MARKET_TOPIC,
    history_hours: opt.HistoryHours = 24.0,
    history: opt.History = None,
    max_connections: opt.MaxConnections = 10_000,
    connections_per_address: opt.ConnectionsPerAddress = 256,
    requests_per_address: opt.RequestsPerAddress = 100.0,
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Offer what the broker carries over WebSocket and REST."""
    _begin("serve", log_level, debug=debug)
    settings = config.ServeSettings(
        broker=opt.broker_at(broker, broker_host, broker_port), host=host, port=port,
        facility_topic=facility_topic, market_topic=market_topic, tokens=config.parse_tokens(token or ()),
        allow_origin=tuple(allow_origin or ()), insecure=insecure, history_hours=history_hours,
        history_dir=history, max_connections=max_connections,
        connections_per_address=connections_per_address, requests_per_address=requests_per_address,
    )  # fmt: skip
    from energydash.server import app as server

    ready = partial(_announce, f"http://{host}:{port}", quiet=quiet, as_json=as_json)
    _run(server.serve(settings, ready))


@app.command()
def ui(
    backend: Annotated[
        str, opt.option("--backend", "WebSocket of the server.")
    ] = "ws://127.0.0.1:8000/ws/realtime",
    host: opt.Host = "127.0.0.1",
    port: Annotated[int, opt.option("--port", "Port to listen on.")] = 8050,
    token: opt.Token = None,
    open_browser: opt.Open = True,
    insecure: opt.Insecure = False,
    tiles: Annotated[
        str | None, opt.option("--tiles", "URL template of a street map to draw beneath.")
    ] = None,
    history: opt.History = None,
    auth: opt.Auth = None,
    prefix: Annotated[
        str, opt.option("--prefix", "Path that a reverse proxy keeps before ours: /grid.")
    ] = "",
    allow_origin: opt.AllowOrigin = None,
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show the live dashboard."""
    _begin("ui", log_level, debug=debug)
    settings = config.UiSettings(
        backend=backend, host=host, port=port, token=opt.shown_token(token),
        open_browser=open_browser, insecure=insecure, tiles=tiles, history=history,
        auth=auth, prefix=config.parse_prefix(prefix), allow_origin=tuple(allow_origin or ()),
    )  # fmt: skip
    from energydash import ui as dashboard

    dashboard.beneath(settings.prefix)
    from energydash.ui import page

    ready = partial(_announce, settings.url, quiet=quiet, as_json=as_json)
    _run(page.serve(settings, ready))


@app.command()
def up(
    data_dir: opt.DataDir = opt.DATA,
    source: opt.Source = opt.SourceName.auto,
    broker: Annotated[
        str, opt.option("--broker", "embedded, or an MQTT broker's address.")
    ] = "embedded",
    speed: Annotated[
        float, opt.option("--speed", "Simulated seconds per second.", min=0.1)
    ] = 60,
    host: Annotated[str, opt.option("--host", "Address of the dashboard.")] = "127.0.0.1",
    port: Annotated[int, opt.option("--port", "Port of the dashboard.")] = 8050,
    server_port: Annotated[int, opt.option("--server-port", "Port of the server.")] = 8000,
    token: opt.Token = None,
    auth: opt.Auth = None,
    open_browser: opt.Open = True,
    insecure: opt.Insecure = False,
    seed: opt.Seed = 1,
    log_level: opt.LogLevel = "INFO",
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Do all of it: fetch, convert, broker, publish, serve and dashboard, supervised."""
    _begin("up", log_level, debug=debug)
    settings = config.UpSettings(
        data_dir=data_dir, source=source.value, broker=broker, speed=speed, host=host, port=port,
        server_port=server_port, token=opt.secret(token), open_browser=open_browser,
        insecure=insecure, auth=auth, seed=seed, quiet=quiet or as_json, log_level=log_level,
    )  # fmt: skip
    from energydash import up as supervisor

    _run(supervisor.run(settings))


def main() -> None:
    """Run the command line; Typer turns wrong usage into exit code 2 and Ctrl-C into 130."""
    config.load_env_file()
    process.end_with_supervisor()
    try:
        app()
    except EnergydashError as exc:
        if os.environ.get(_DEBUG):
            raise
        typer.echo(f"energydash: {exc}", err=True)
        sys.exit(exc.exit_code)
