"""How the help of commands looks: paragraphs are filled, lists and examples stay as they are."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prelabel": (
            "annotator prelabel FOLDER --scope untouched",
            "annotator prelabel FOLDER --boxes results.json --names coco.json",
            "annotator prelabel FOLDER --again --out proposals.json",
        ),
        "export": (
            "annotator export FOLDER --format yolo-seg -o OUT --images copy --split 80/10/10",
            "annotator export FOLDER --query 'class:dog score:<0.6' -o dogs.json",
        ),
        "import": (
            "annotator import FOLDER labels.json --dry-run",
            "annotator import FOLDER labels.json --map kitty=cat --yes",
            "annotator import FOLDER --undo",
        ),
        "convert": (
            "annotator convert labels.json --to yolo-seg -o OUT",
            "annotator convert YOLO --to coco -o labels.json --image-folder IMAGES",
        ),
        "check": (
            "annotator check FOLDER --only duplicate,overlap",
            "annotator check FOLDER --fix specks,holes --pixels 20",
        ),
    }
)
"""Lines for the end of a help page; every option in them exists (tests/test_help.py)."""


class Page(argparse.HelpFormatter):
    """Fills paragraphs; those with an indented line are lists, and stay."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            block if "\n  " in block else textwrap.fill(block, width)
            for block in text.split("\n\n")
        )


def epilog(command: str, *parts: str) -> str:
    """The end of a help page: its parts, and the examples of the command."""
    lines = "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[command])])
    return "\n\n".join([*parts, lines])
