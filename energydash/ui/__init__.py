"""The dashboard: it knows the server by its wire alone."""

import os

# Panel reads this when first imported. A page that reconnects after a restart would otherwise ask a public CDN
# for its style sheets, and a wall without internet would lose its looks.
os.environ.setdefault("PANEL_CDN_ROOT", "/pn/")
