"""The one exception type whose text is meant for people."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can understand and act on.

    Args:
        message: names the file or thing and what is wrong with it.
        remedy: what to do next; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
