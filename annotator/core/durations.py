"""Durations in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Roughly, for people: "about 35 s", "about 4 minutes", "about 3 hours"."""
    if seconds < 90:
        return f"about {max(round(seconds / 5) * 5, 5)} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"
