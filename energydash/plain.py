"""Text that a stranger may have written, made safe for a log line and for a terminal. Pure."""

import re

# What moves a terminal's cursor, ends a line or turns the reading direction: C0, DEL, C1, the separators, the bidirectional controls.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
# Between two characters of JSON text these stand in strings alone, where an escape says the same.
_ACTIVE_IN_JSON = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


def plain(text: str) -> str:
    """Give the text with each control character shown instead of obeyed, as Python would write it."""
    return _ACTIVE.sub(lambda found: _shown(found.group()), text)


def plain_json(text: str) -> str:
    """Give JSON text that means the same and holds no control character."""
    return _ACTIVE_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode()
