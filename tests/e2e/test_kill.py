"""One kill of the real window; `benchmarks/kill_window.py --kills 50` does the rest."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill_window import kill_once


def test_what_was_shown_as_saved_survives_a_kill(qapp: object, tmp_path: Path) -> None:
    shown, problems = kill_once(tmp_path, seed=5, longest=2.0)
    assert shown, "the child labelled something"
    assert problems == []
