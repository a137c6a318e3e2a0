"""A text that must not be shown."""

from typing import override


class Secret(str):
    """A string that shows itself masked; use `reveal()` where it is really needed."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "Secret('***')"

    @override
    def __str__(self) -> str:
        return "***" if self.reveal() else ""

    @override
    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def reveal(self) -> str:
        """Give the secret itself."""
        return str.__str__(self)
