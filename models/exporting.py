"""Checkpoints become ONNX graphs once, in a process of their own: torch never enters this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from models.api import ModelError

# Raise it whenever exported graphs change, so that those of an older program are made anew.
FORMAT = 1
FILES = ("encoder.onnx", "side.onnx", "trunk.onnx", "cells.onnx")
REFUSED = 3
"""Exit status of an exporting program when its last line is a message for people."""


def export_once(
    name: str, cache: Path | None, program: str, arguments: Sequence[str], title: str
) -> Path:
    """The folder with the `FILES` of a checkpoint; the first time a program makes them.

    Args:
        name: of the folder: names network and content of the weights.
        cache: where it lies; by default the user's cache folder.
        program: module run as `python -m`; it writes the files into the folder that is its last
            argument.
        arguments: the others.
        title: what cannot be prepared when the program fails, for people.

    Raises:
        ModelError: the checkpoint does not fit, or the graphs cannot be written.
    """
    folder = (cache or _cache_folder()) / f"{name}-{FORMAT}"
    if _is_complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ModelError(f"“{folder.parent}” cannot be written: {error.strerror}.") from error
    try:
        _run(program, [*arguments, str(made)], title)
        _put_in_place(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _cache_folder() -> Path:
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("annotator")) / "graphs"


def _is_complete(folder: Path) -> bool:
    return all((folder / file).exists() for file in FILES)


def _put_in_place(made: Path, folder: Path) -> None:
    """Rename a complete folder; a half-written one is never seen under the final name."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        made.replace(folder)
    except OSError as error:
        # Another process was quicker with the same graphs.
        if not _is_complete(folder):
            raise ModelError(f"“{folder}” cannot be written: {error.strerror}.") from error


def _run(program: str, arguments: Sequence[str], title: str) -> None:
    root = Path(__file__).parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode == 0:
        return
    lines = done.stderr.strip().splitlines()
    last = lines[-1] if lines else f"exit status {done.returncode}"
    if done.returncode == REFUSED:
        raise ModelError(last)
    raise ModelError(f"{title} could not be prepared: {last}")
