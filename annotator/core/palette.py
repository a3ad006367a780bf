"""Class colours that people with colour-blindness can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

# Okabe and Ito, "Color Universal Design" (2008), without black, then Paul Tol's "bright" and
# "muted" schemes (SRON/EPS/TN/09-002, 2021) where they add something new.
COLORS = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    "#EE6677", "#66CCEE", "#AA3377", "#DDCC77", "#882255", "#44AA99", "#CC6677",
    "#AA4499", "#999933", "#88CCEE", "#117733", "#332288",
)  # fmt: skip


def color_for(index: int) -> str:
    """The colour of the class made as number `index` (from 0); repeats after the table's end."""
    return COLORS[index % len(COLORS)]


def free_colors(used: Iterable[str], start: int) -> Iterator[str]:
    """Colours for further classes: those nobody has first, then `color_for` from `start` on."""
    taken = {color.upper() for color in used}
    free = [c for c in map(color_for, range(start, start + len(COLORS))) if c.upper() not in taken]
    yield from free
    yield from map(color_for, count(start + len(free)))
