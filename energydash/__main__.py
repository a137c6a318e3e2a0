"""The `energydash` command, also as `python -m energydash`: from its first import on, a Ctrl-C ends it."""

import signal
import sys
import threading

_AGAIN_AFTER_S = 0.05
_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    _lose_no_interrupt()
    try:
        from energydash.cli import main as run  # noqa: PLC0415 (a Ctrl-C may come while it is loaded)

        run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _lose_no_interrupt() -> None:
    """Send a Ctrl-C again that Python drops: what is raised in a finalizer or in a callback of the import system ends there."""
    report = sys.unraisablehook

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            report(dropped)
            return
        # A moment later, when the callback is over.
        threading.Timer(_AGAIN_AFTER_S, signal.raise_signal, (signal.SIGINT,)).start()

    sys.unraisablehook = again


if __name__ == "__main__":
    main()
