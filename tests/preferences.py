"""Preferences for tests that need a workspace, but not what the default model sees."""

from __future__ import annotations

from pathlib import Path

from annotator.services.settings import SettingsStore


def quick(folder: Path) -> SettingsStore:
    """A settings file in this folder, with a model that is loaded and looks at images at once.

    Loading and asking the default one costs a third of a second of processor time in every test.
    """
    settings = SettingsStore(folder / "settings.ini")
    settings.update(model="basic")
    return settings
