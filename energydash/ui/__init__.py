"""The dashboard: it knows the server by its wire alone."""

import os


def beneath(prefix: str) -> None:
    """Settle where Panel's own files are, before it is first imported: `prefix` is what a reverse proxy puts before them.

    A page that reconnects after a restart would otherwise ask a public CDN for its style sheets, and a wall without internet would lose
    its looks.
    """
    os.environ["PANEL_CDN_ROOT"] = f"{prefix}/pn/"


if "PANEL_CDN_ROOT" not in os.environ:
    beneath("")
