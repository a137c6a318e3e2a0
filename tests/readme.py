"""README's fenced blocks, for the tests that run them."""

import re
import shlex
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
"""(language, text) of each."""


def block(language: str, words: str) -> str:
    """Give the only block of a language that has these words."""
    (found,) = [text for name, text in BLOCKS if name == language and words in text]
    return found


def commands(words: str) -> list[list[str]]:
    """Give each line of the only shell block with these words, in words of its own."""
    return [line for text in block("sh", words).splitlines() if (line := shlex.split(text, comments=True))]  # fmt: skip
