"""The command line: options to settings to one call; with `console` the only place that prints results and exits."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from energydash import __version__, alerting, config, console, nem, process, progress
from energydash import options as opt
from energydash.cli_publish import publish
from energydash.cli_up import doctor, down, status, up
from energydash.errors import EnergydashError

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
    rate: opt.Rate = None,
    concurrency: opt.Concurrency = 4,
    retries: opt.Retries = 5,
    follow: Annotated[
        bool, opt.option("--follow", "Go on with what the grid does, until stopped.")
    ] = False,
    every: opt.Every = 60,
    keep_days: opt.KeepDays = None,
    dry_run: opt.DryRun = False,
    restart: opt.Restart = False,
    base_url: opt.BaseUrl = config.OPENELECTRICITY_URL,
    nemweb_url: opt.NemwebUrl = config.NEMWEB_URL,
    seed: opt.Seed = 1,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Get the catalogue, every unit's power and emissions, and the market, into data/*.json."""
    console.begin("fetch", log_level, debug=debug)
    from energydash.sources.choose import make_source, settled_live

    since, until = opt.window(start, end, days, network)
    of: config.SourceName = source.value
    if follow and network == nem.NETWORK:
        of = settled_live(of, config.api_key(), nemweb_url, base_url, data_dir)
    settings = config.FetchSettings(
        data_dir=data_dir, source=of, start=since, end=until, interval=interval, network=network, status=status,
        batch_size=batch_size, batch_delay_s=batch_delay, rate=rate, concurrency=concurrency, retries=retries, every_s=every,
        api_key=config.api_key(), base_url=base_url, nemweb_url=nemweb_url, seed=seed, dry_run=dry_run, restart=restart,
        fixed=start is not None or end is not None, open_end=end is None, keep_days=keep_days,
    )  # fmt: skip
    from energydash import fetch as job
    from energydash.files.shelf import FileShelf

    do, what = job.follow if follow else job.run, make_source(settings, FileShelf(data_dir))
    with progress.shown("fetch", quiet=quiet) as show:
        summary = process.run(do(settings, what, show, partial(console.tell, quiet=quiet)))
    if isinstance(summary, job.Planned) and not as_json:
        console.say(job.describe(summary, nem.now()))
    elif summary is not None:
        console.report(summary, as_json=as_json)


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
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Turn the raw answers into exact tables: one row for a station and an interval."""
    console.begin("convert", log_level, debug=debug)
    folder = input_dir or data_dir
    tables = output_dir or folder / "csv_output"
    settings = config.ConvertSettings(
        input_dir=folder, output_dir=tables, format=table_format.value
    )
    from energydash import convert as job

    with progress.shown("convert", quiet=quiet) as show:
        summary = job.run(settings, show)
    console.report(summary, as_json=as_json, text=job.report)
    if strict:
        job.refuse_doubts(summary)


app.command()(publish)


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
    ca_file: opt.CaFile = None,
    cert_file: opt.CertFile = None,
    key_file: opt.KeyFile = None,
    mqtt_version: opt.Version = "3.1.1",
    client_id: opt.ClientId = None,
    qos: opt.Qos = 0,
    facility_topic: opt.FacilityTopic = config.FACILITY_TOPIC,
    market_topic: opt.MarketTopic = config.MARKET_TOPIC,
    history_hours: opt.HistoryHours = 24.0,
    history: opt.History = None,
    max_connections: opt.MaxConnections = 10_000,
    connections_per_address: opt.ConnectionsPerAddress = 256,
    requests_per_address: opt.RequestsPerAddress = 100.0,
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Offer what the broker carries over WebSocket and REST."""
    console.begin("serve", log_level, debug=debug)
    config.check_topics(facility_topic, market_topic)
    settings = config.ServeSettings(
        broker=opt.broker_at(
            broker, broker_host, broker_port, ca_file=ca_file, cert_file=cert_file,
            key_file=key_file, version=mqtt_version, client_id=client_id,
        ), qos=qos, host=host, port=port,
        facility_topic=facility_topic, market_topic=market_topic, tokens=config.parse_tokens(token or ()),
        allow_origin=tuple(allow_origin or ()), insecure=insecure, history_hours=history_hours,
        history_dir=history, max_connections=max_connections,
        connections_per_address=connections_per_address, requests_per_address=requests_per_address,
    )  # fmt: skip
    from energydash.server import app as server

    ready = partial(console.announce, f"http://{host}:{port}", quiet=quiet, as_json=as_json)
    process.run(server.serve(settings, ready))


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
    alerts: opt.Alerts = alerting.DEFAULT,
    data_dir: opt.DataDir = opt.DATA,
    log_level: opt.LogLevel = "INFO",
    log_format: opt.LogFormat = opt.LogFormatName.text,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show the live dashboard."""
    console.begin("ui", log_level, debug=debug)
    settings = config.UiSettings(
        backend=backend, host=host, port=port, token=opt.shown_token(token),
        open_browser=open_browser, insecure=insecure, tiles=tiles, history=history,
        auth=auth, prefix=config.parse_prefix(prefix), allow_origin=tuple(allow_origin or ()),
        alerts=alerting.parse(alerts),
    )  # fmt: skip
    # Before Panel is loaded, which takes seconds.
    config.check_exposure(
        host, guarded=auth is not None, insecure=insecure, guard="--auth FILE"
    )
    config.check_backend(backend)
    with process.loading():
        from energydash import ui as dashboard

        dashboard.beneath(settings.prefix)
        from energydash.ui import page

    ready = partial(console.announce, settings.url, quiet=quiet, as_json=as_json)
    process.run(page.serve(settings, ready))


for command in (up, doctor, status, down):
    app.command()(command)


def main() -> None:
    """Run the command line; Typer turns wrong usage into exit code 2 and Ctrl-C into 130."""
    config.load_env_file()
    process.end_with_supervisor()
    try:
        app()
    except EnergydashError as exc:
        if os.environ.get(console.DEBUG):
            raise
        console.complain(exc)
        sys.exit(exc.exit_code)
