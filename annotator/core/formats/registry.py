"""Which formats exist: what every module in `annotator.core.formats` says (`SPEC` or `SPECS`)."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

import annotator.core.formats as package
from annotator.core.errors import UserError
from annotator.core.formats.api import Content, FormatSpec, Origin


@cache
def formats() -> dict[str, FormatSpec]:
    """All formats by id, COCO first, then by title. Not before the window is painted."""
    found: list[FormatSpec] = []
    for module in pkgutil.iter_modules(package.__path__):
        one = importlib.import_module(f"{package.__name__}.{module.name}")
        found += (*getattr(one, "SPECS", ()), *filter(None, [getattr(one, "SPEC", None)]))
    found.sort(key=lambda spec: (not spec.id.startswith("coco"), spec.title.casefold()))
    return {spec.id: spec for spec in found}


def writers() -> dict[str, FormatSpec]:
    """Formats that can be exported."""
    return {name: spec for name, spec in formats().items() if spec.write is not None}


def readers() -> dict[str, FormatSpec]:
    """Formats that can be imported."""
    return {name: spec for name, spec in formats().items() if spec.read is not None}


def format_spec(name: str) -> FormatSpec:
    """The format with this id.

    Raises:
        UserError: there is none.
    """
    known = formats()
    if name not in known:
        raise UserError(f"There is no format “{name}”.", f"Known formats: {', '.join(known)}.")
    return known[name]


def recognise(path: Path) -> FormatSpec:
    """The format a file or folder seems to have.

    Raises:
        UserError: none, or several; the message names them.
    """
    if not path.exists():
        raise UserError(f"“{path}” does not exist.", "Check the spelling or the drive.")
    found = [spec for spec in readers().values() if spec.recognises(path)]
    if len(found) == 1:
        return found[0]
    if not found:
        known = ", ".join(readers())
        raise UserError(
            f"“{path}” is in no format that is known here.", f"Say which one it is: {known}."
        )
    raise UserError(
        f"“{path}” may be in several formats.",
        f"Say which one it is: {', '.join(spec.id for spec in found)}.",
    )


def open_content(origin: Origin, name: str = "") -> Content:
    """Read whatever this is.

    Args:
        origin: the file or folder.
        name: id of its format, "" to find out.

    Raises:
        UserError: it is not known, or is not what it should be.
    """
    spec = format_spec(name) if name else recognise(origin.path)
    if spec.read is None:
        raise UserError(f"{spec.title} can only be written.", f"Readable: {', '.join(readers())}.")
    if not origin.path.exists():
        raise UserError(f"“{origin.path}” does not exist.", "Check the spelling or the drive.")
    return spec.read(origin)
