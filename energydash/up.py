"""`up`: everything from the source to the dashboard in one go, watched by its user and by whoever asks.

Each part is an `energydash` command in a process of its own, so that one crash does not take the rest:

    feed (fetch, convert, again and again) → broker → publish → serve → ui
"""

import asyncio
import logging
import os
from contextlib import suppress

from energydash.browser import open_browser
from energydash.config import UpSettings
from energydash.errors import FileError
from energydash.supervise import claim, jumps
from energydash.supervise.claim import Member, Running
from energydash.supervise.control import Control
from energydash.supervise.family import Family
from energydash.supervise.gauges import created
from energydash.supervise.plan import Plan, plan
from energydash.supervise.remote import DETACHED
from energydash.supervise.screen import Screen, shown
from energydash.supervise.supervisor import Supervisor
from energydash.threads import to_its_end

logger = logging.getLogger(__name__)

_FILLED_WITHIN_S = 30.0
_POLL_S = 0.1
_SHOW_EVERY_S = 1.0
_NOTE_EVERY_S = 1.0


class _Ended(Exception):  # noqa: N818 (it never leaves this module)
    """Somebody asked for the end."""


async def run(settings: UpSettings, family: Family) -> None:
    """Run everything until cancelled or until `energydash down`; nothing of it outlives this call.

    `family` is told who runs.

    Raises:
        ConfigError: a setting is missing or wrong.
        PortInUseError: a port that was asked for is taken.
        EnergydashError: another `up` runs in the folder.
        ExceptionGroup[EnergydashError]: a part cannot be started, or keeps failing; its own last words are the text.
    """
    with claim.held(settings.data_dir / "live"):
        what = plan(settings)
        with shown(quiet=settings.quiet) as screen:
            await _run(what, screen, family)


async def _run(what: Plan, screen: Screen, family: Family) -> None:
    supervisor = Supervisor(what)
    family.parts = supervisor.parts
    control = Control(supervisor.now)
    screen.say("starting: " + ", ".join(part.name for part in supervisor.parts))
    try:
        async with control.listening(), asyncio.TaskGroup() as group:
            group.create_task(_noted(what, supervisor, control), name="noted")
            group.create_task(supervisor.run(), name="supervisor")
            group.create_task(_greet(supervisor, screen), name="greet")
            group.create_task(_farewell(screen), name="farewell")
            group.create_task(jumps.watch(jumps.Jumps(), supervisor.jumped), name="jumps")
            group.create_task(_until(control.down), name="down")
            if screen.is_live:
                group.create_task(_show(supervisor, screen), name="show")
    except* _Ended:
        logger.info("ended, as energydash down asked")


async def _until(down: asyncio.Event) -> None:
    await down.wait()
    raise _Ended


async def _show(supervisor: Supervisor, screen: Screen) -> None:
    while True:
        screen.show(await asyncio.to_thread(supervisor.now))
        await asyncio.sleep(_SHOW_EVERY_S)


async def _farewell(screen: Screen) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        screen.say("stopping; Ctrl-C again kills at once")
        raise


async def _noted(what: Plan, supervisor: Supervisor, control: Control) -> None:
    """Keep the folder's file true, from which `status` and `down` know whom they deal with."""
    me = Member("up", os.getpid(), created(os.getpid()) or 0.0)
    noted: Running | None = None
    while True:
        now = Running(up=me, port=control.port, token=control.token, parts=_members(supervisor))
        if now != noted:
            try:
                # A thread left behind would write the file of one who has gone.
                await to_its_end(claim.save, what.folder, now)
                noted = now
            except FileError as exc:
                # Full, the disk must not end what streams; it is tried again.
                logger.warning("%s", exc)
        await asyncio.sleep(_NOTE_EVERY_S)


def _members(supervisor: Supervisor) -> tuple[Member, ...]:
    running = [(part.name, part.pid) for part in supervisor.parts if part.pid is not None]
    known = [(name, pid, created(pid)) for name, pid in running if pid is not None]
    return tuple(Member(name, pid, moment) for name, pid, moment in known if moment is not None)


async def _greet(supervisor: Supervisor, screen: Screen) -> None:
    """Say where the page is, once it answers."""
    what = supervisor.plan
    await supervisor.serve.ready.wait()
    if what.settings.ui:
        await supervisor.ui.ready.wait()
    await _filled(supervisor)
    supervisor.opened.set()
    where = what.page if what.settings.ui else what.server
    screen.say(f"{_grid(what)} is at {where}")
    screen.say(
        f"WebSocket {what.server.replace('http', 'ws', 1)}/ws/realtime, MQTT {what.broker.url}"
    )
    screen.say("Ctrl-C stops everything")
    if os.environ.get(DETACHED) == "1":
        _let_go_of_stderr()
    elif what.settings.open_browser and what.settings.ui:
        open_browser(what.page)


def _grid(what: Plan) -> str:
    if what.recording:
        return "the recording"
    return "the simulated grid" if what.simulated else "the live grid"


async def _filled(supervisor: Supervisor) -> None:
    """Wait until the server holds the past, so that the page opens with a day; a slow feed must not hide it."""
    since = supervisor.plan.opens_at
    with suppress(TimeoutError):
        async with asyncio.timeout(_FILLED_WITHIN_S):
            while since is not None:
                health = await asyncio.to_thread(supervisor.server.health)
                if health and health.event_time and health.event_time >= since:
                    return
                await asyncio.sleep(_POLL_S)


def _let_go_of_stderr() -> None:
    """Say nothing more to who has started us and gone: the log has it all."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
