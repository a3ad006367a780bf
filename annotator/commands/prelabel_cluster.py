"""`annotator prelabel --engine ray`: what can be said about many machines, and what makes sense."""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path

from annotator.core.prelabel.storage import Storage, is_address

RAY = "ray"
SHARD_IMAGES = 500
MISSING = "--engine ray needs Ray: pip install 'annotator[ray]'"


def place(text: str) -> Path | str:
    """A path, or an address of fsspec that is not one of this machine's disk."""
    if not is_address(text):
        return Path(text)
    return Path(text.removeprefix("file://")) if text.startswith("file://") else text


def add_options(made: argparse.ArgumentParser) -> None:
    """The options."""
    add = made.add_argument_group(
        "many machines",
        "The images, and the folder of the shards, may be on object storage: s3://bucket/images.",
    ).add_argument
    add("--engine", choices=("local", RAY), default="local", help="where the work is done (local)")
    add(
        "--shards",
        metavar="PLACE",
        help="a folder for finished parts of the run (FILE.shards beside --out FILE); without "
        "--out they wait there for annotator merge-proposals",
    )
    add("--shard-size", type=_whole, metavar="N", default=SHARD_IMAGES, help="images in one (500)")
    add("--workers", type=_whole, metavar="N", help="models that work at the same time (2)")
    add("--cpus-per-worker", type=_amount, metavar="X", help="cores for each (1)")
    add("--gpus-per-worker", type=_amount, metavar="Y", help="share of a GPU for each (0)")
    add("--address", metavar="HOST:PORT", help="a Ray cluster (one of its own on this machine)")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError("must be a number from 0 on")
    return value


def check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Say what makes no sense.

    Raises:
        SystemExit: something does not.
    """
    if given.engine != RAY:
        named = [name for name in ("shards", "workers", "cpus_per_worker", "gpus_per_worker",
                                   "address") if getattr(given, name) is not None]  # fmt: skip
        if named:
            parser.error(f"--{named[0].replace('_', '-')} is for --engine ray")
        if isinstance(given.folder, str):
            parser.error(f"“{given.folder}” is no folder of this machine: say --engine ray")
        return
    if importlib.util.find_spec("ray") is None:
        parser.error(MISSING)
    if given.out is None and given.shards is None:
        parser.error("--engine ray needs --out FILE, --shards PLACE or both")
    if given.compare:
        parser.error("--compare is for one machine: it does not go with --engine ray")
    if isinstance(given.folder, str) and getattr(given, "again", False):
        parser.error("--again looks at accepted objects, so its folder is one of this machine")


def project_place(given: argparse.Namespace) -> Path:
    """Where a project may be: beside images on object storage there is none, one can be named."""
    if isinstance(given.folder, Path):
        return given.folder
    return given.project or Path(os.devnull)


def shards_of(given: argparse.Namespace) -> Storage:
    """Where the finished parts are kept.

    Raises:
        UserError: nobody knows this kind of address.
    """
    if given.shards is not None:
        return Storage.at(given.shards)
    return Storage.at(given.out.with_name(f"{given.out.name}.shards"))
