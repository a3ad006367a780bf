"""`Settings`: the user's preferences as one frozen value, kept in an ini file."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QSettings, QStandardPaths, Signal

from annotator.core.errors import UserError

if TYPE_CHECKING:
    from models.runtimes import Device

MAX_RECENT = 12
"""How many folders the list of recent folders holds."""

NO_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user prefers.

    Attributes:
        theme: "system", "light" or "dark".
        keymap: id of a key map (`annotator.keymaps.TITLES`).
        key_overrides: the user's own keys: command id to key sequences in portable text.
        recent_folders: absolute paths, newest first, at most `MAX_RECENT`.
        reopen_last: open the newest folder when started without one.
        crosshair: lines through the pointer across the image.
        pixel_grid: lines between pixels when near.
        turn_alike: the view of every image of a project is turned alike.
        hover_preview: show what a click would give before the click.
        mask_opacity: 0.05 to 1.
        brush_size: diameter of the brush, image pixels, 1 to 1000.
        wheel: "zoom": the wheel zooms; "scroll": it scrolls and Ctrl+wheel zooms (labelme).
        model: id of the segmenter, "" for the default one.
        names: id of the text model that suggests names, "" for none.
        device: what models may run on.
        segmentation: "polygons" where they are exact and RLE elsewhere, or "rle" everywhere.
        coco_versions: how many earlier versions of the COCO file the project keeps, 0 to 1000.
        propose_side: everything mode asks this many points along each side, 2 to 64.
        propose_score: least score of a proposal, 0 to 1; below 0: as suits the model.
        propose_stability: likewise its least stability.
        propose_overlap: masks that overlap more are one object, 0 to 1.
        propose_area: the smallest proposal, pixels.
        geometry: `QWidget.saveGeometry` of the main window.
        window_state: `QMainWindow.saveState`.
        hints_shown: ids of first-time hints the user has seen.
    """

    theme: str = "system"
    keymap: str = "standard"
    key_overrides: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_KEYS)
    recent_folders: tuple[str, ...] = ()
    reopen_last: bool = True
    crosshair: bool = False
    pixel_grid: bool = True
    turn_alike: bool = False
    hover_preview: bool = True
    mask_opacity: float = 0.45
    brush_size: float = 24.0
    wheel: str = "zoom"
    model: str = ""
    names: str = ""
    device: Device = "auto"
    segmentation: str = "polygons"
    coco_versions: int = 10
    propose_side: int = 16
    propose_score: float = -1.0
    propose_stability: float = -1.0
    propose_overlap: float = 0.6
    propose_area: int = 64
    geometry: bytes = field(default=b"", repr=False)
    window_state: bytes = field(default=b"", repr=False)
    hints_shown: frozenset[str] = frozenset()


_FIELDS = frozenset(spec.name for spec in fields(Settings))

CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "theme": ("system", "light", "dark"),
        "keymap": ("standard", "labelme", "cvat"),
        "wheel": ("zoom", "scroll"),
        "device": ("auto", "processor", "exact"),
        "segmentation": ("polygons", "rle"),
    }
)
"""Fields that take one of a few words."""


class SettingsStore(QObject):
    """Keeps the current `Settings` and their file in step.

    A value the file should not contain falls back to its default, field by field; keys of other
    programs or later versions stay in the file.

    Args:
        path: the ini file; the user's configuration folder by default.
        parent: Qt parent.
    """

    changed = Signal(object)
    """The new `Settings`."""
    reported = Signal(object)
    """`UserError`: the file cannot be written (once per run; the settings hold until the end)."""

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path or default_path()
        self._file = QSettings(str(self._path), QSettings.Format.IniFormat, self)
        self._settings = _read(self._file)
        self._complained = False

    @property
    def path(self) -> Path:
        """The ini file."""
        return self._path

    @property
    def settings(self) -> Settings:
        """The current value."""
        return self._settings

    def update(self, **changes: Any) -> None:
        """Replace some fields, write them, and tell everybody.

        Raises:
            TypeError: a field that does not exist.
            ValueError: a value the field cannot have.
        """
        texts = {name: _text(value) for name, value in changes.items()}
        clean = {name: _parse(name, text) for name, text in texts.items() if name in _FIELDS}
        for name, value in clean.items():
            if value is None:
                raise ValueError(f"{name} cannot be {changes[name]!r}")
        after = replace(self._settings, **{**changes, **clean})
        if after == self._settings:
            return
        self._settings = after
        for name, text in texts.items():
            self._file.setValue(name, text)
        self.changed.emit(after)

    def remember_folder(self, folder: Path) -> None:
        """Put a folder in front of the recent ones."""
        newest = str(folder)
        others = (path for path in self._settings.recent_folders if path != newest)
        self.update(recent_folders=(newest, *others)[:MAX_RECENT])

    def forget_folders(self) -> None:
        """Empty the list of recent folders."""
        self.update(recent_folders=())

    def save(self) -> None:
        """Write the file now. Without this Qt writes it when the event loop is idle."""
        self._file.sync()
        if self._file.status() == QSettings.Status.AccessError and not self._complained:
            self._complained = True
            self.reported.emit(
                UserError(
                    f"The settings file “{self._path}” cannot be written.",
                    "Changed settings hold until you quit. Check the permissions of the folder.",
                )
            )


def default_path() -> Path:
    """Where the settings of this user live, for example ~/.config/annotator/annotator.ini."""
    # Not platformdirs: importing it takes 20 ms before the first paint; on Linux the result is
    # the same folder.
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericConfigLocation)
    return Path(base) / "annotator" / "annotator.ini"


def _read(file: QSettings) -> Settings:
    values: dict[str, Any] = {}
    for spec in fields(Settings):
        stored = file.value(spec.name)
        # An ini value with a comma comes back as a list: this program writes none.
        value = _parse(spec.name, stored) if isinstance(stored, str) else None
        if value is not None:
            values[spec.name] = value
    return Settings(**values)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return json.dumps({key: list(keys) for key, keys in value.items()})
    if isinstance(value, frozenset):
        return json.dumps(sorted(value))
    return json.dumps(list(value)) if isinstance(value, tuple) else str(value)


def _parse(name: str, text: str) -> Any:
    """The value of a field, or None when the text is none."""
    if name in CHOICES:
        return text if text in CHOICES[name] else None
    return _PARSERS[name](text)


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


def _number(kind: type[float], least: float, most: float) -> Callable[[str], float | None]:
    """A parser of numbers of one kind between two limits."""

    def parse(text: str) -> float | None:
        try:
            value = kind(text)
        except ValueError:
            return None
        return value if least <= value <= most else None

    return parse


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _strings(text: str) -> tuple[str, ...] | None:
    value = _json(text)
    if not isinstance(value, list):
        return None
    return tuple(dict.fromkeys(item for item in value if isinstance(item, str) and item))


def _folders(text: str) -> tuple[str, ...] | None:
    found = _strings(text)
    return None if found is None else found[:MAX_RECENT]


def _names(text: str) -> frozenset[str] | None:
    found = _strings(text)
    return None if found is None else frozenset(found)


def _keys(text: str) -> Mapping[str, tuple[str, ...]] | None:
    value = _json(text)
    if not isinstance(value, dict):
        return None
    return MappingProxyType(
        {
            command_id: tuple(keys)
            for command_id, keys in value.items()
            if isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        }
    )


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "key_overrides": _keys,
    "recent_folders": _folders,
    "reopen_last": _truth,
    "crosshair": _truth,
    "pixel_grid": _truth,
    "turn_alike": _truth,
    "hover_preview": _truth,
    "mask_opacity": _number(float, 0.05, 1.0),
    "brush_size": _number(float, 1.0, 1000.0),
    "model": str,
    "names": str,
    "coco_versions": _number(int, 0, 1000),
    "propose_side": _number(int, 2, 64),
    "propose_score": _number(float, -1.0, 1.0),
    "propose_stability": _number(float, -1.0, 1.0),
    "propose_overlap": _number(float, 0.0, 1.0),
    "propose_area": _number(int, 0, 1_000_000),
    "geometry": _bytes,
    "window_state": _bytes,
    "hints_shown": _names,
}
