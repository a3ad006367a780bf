"""`python -m models.training export`: a checkpoint as the graphs that ship."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.adapted import WEIGHTS
from models.training.export import export, load_weights, save_weights
from models.training.running import say


def run(arguments: list[str]) -> int:
    """Write `encoder.onnx` and `decoder.onnx` of a checkpoint.

    Returns:
        0.

    Raises:
        ModelError: the checkpoint cannot be used, or the folder cannot be written.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="python -m models.training export",
        description="Write encoder.onnx and decoder.onnx of a training checkpoint.",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="last.pt of a run")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets the two graphs")
    text = "also write weights.pt, from which the network can be trained further"
    parser.add_argument("--weights", action="store_true", help=text)
    text = "the newest weights instead of the averaged ones: better at the end of a run"
    parser.add_argument("--newest", action="store_true", help=text)
    given = parser.parse_args(arguments)
    network = load_weights(given.checkpoint, newest=given.newest)
    export(network, given.folder)
    if given.weights:
        save_weights(network, given.folder / WEIGHTS)
    for path in sorted(given.folder.iterdir()):
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0
