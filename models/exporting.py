"""Checkpoints become ONNX graphs once, in a process of their own: torch never enters this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from models.api import ModelError

# Raise it whenever exported graphs change, so that those of an older program are made anew.
FORMAT = 2
FILES = ("encoder.onnx", "side.onnx", "tokens.onnx", "trunk.onnx", "cells.onnx")
REFUSED = 3
"""Exit status of an exporting program when its last line is a message for people."""
TICK = 0.1
"""Seconds after which a stop is noticed at the latest."""

_WATCH: ContextVar[tuple[Callable[[], None], Callable[[], bool]]] = ContextVar(
    "watch", default=(lambda: None, lambda: False)
)


class StoppedError(ModelError):
    """Nobody wants the graphs any more."""


@contextlib.contextmanager
def watched(started: Callable[[], None], stopped: Callable[[], bool]) -> Iterator[None]:
    """Watch what is exported inside, on this thread.

    Args:
        started: called when an export, which takes up to a minute, begins.
        stopped: asked often while it runs; True ends it with `StoppedError`.
    """
    token = _WATCH.set((started, stopped))
    try:
        yield
    finally:
        _WATCH.reset(token)


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
        StoppedError: see `watched`.
    """
    folder = (cache or _cache_folder()) / f"{name}-{FORMAT}"
    if not _is_complete(folder):
        export_anew(folder, program, arguments, title)
    return folder


def export_anew(folder: Path, program: str, arguments: Sequence[str], title: str) -> str:
    """Make a folder of graphs, in place of one that is there; what the program writes to stdout.

    Args:
        folder: appears, or is replaced, when everything is in it.
        program: see `export_once`.
        arguments: see `export_once`.
        title: see `export_once`.

    Raises:
        ModelError: see `export_once`.
        StoppedError: see `watched`.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ModelError(f"“{folder.parent}” cannot be written: {error.strerror}.") from error
    try:
        said = _run(program, [*arguments, str(made)], title)
        _put_in_place(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return said


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


def _run(program: str, arguments: Sequence[str], title: str) -> str:
    """Run an exporting program; what it writes to stdout."""
    root = Path(__file__).parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    started, stopped = _WATCH.get()
    started()
    with subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        output, said = _result(process, stopped, title)
    if process.returncode == 0:
        return output
    lines = said.strip().splitlines()
    last = lines[-1] if lines else f"exit status {process.returncode}"
    if process.returncode == REFUSED:
        raise ModelError(last)
    raise ModelError(f"{title} could not be prepared: {last}")


def _result(
    process: subprocess.Popen[str], stopped: Callable[[], bool], title: str
) -> tuple[str, str]:
    """What a process writes to stdout and stderr until it ends, or is ended."""
    while True:
        try:
            return process.communicate(timeout=TICK)
        except subprocess.TimeoutExpired:
            if stopped():
                process.kill()
                raise StoppedError(f"Preparing {title} was stopped.") from None
