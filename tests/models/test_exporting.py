"""Exports in a process of their own: watched, stopped, and never half there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import exporting
from models.api import ModelError
from tests.models.slow_export import PROGRAM, install


def test_an_export_is_announced_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = install(tmp_path, monkeypatch)
    started: list[None] = []
    with (
        exporting.watched(lambda: started.append(None), begun.exists),
        pytest.raises(exporting.StoppedError, match="Preparing Toy was stopped"),
    ):
        exporting.export_once("toy", tmp_path / "cache", PROGRAM, [], "Toy")
    assert started == [None]
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_there_is_not_announced(tmp_path: Path) -> None:
    folder = tmp_path / f"toy-{exporting.FORMAT}"
    folder.mkdir()
    for name in exporting.FILES:
        (folder / name).touch()
    with exporting.watched(lambda: pytest.fail("announced"), lambda: True):
        assert exporting.export_once("toy", tmp_path, PROGRAM, [], "Toy") == folder


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Toy could not be prepared: .*No module named"):
        exporting.export_once("toy", tmp_path, "no_such_program", [], "Toy")
