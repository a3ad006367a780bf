"""`annotator merge-proposals SHARDS…`: the shards of a cluster's run as one results file."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from annotator.commands.progress import say
from annotator.core.errors import UserError

MOST_SAID = 20


def run(arguments: list[str]) -> int:
    """Run `annotator merge-proposals` with these arguments.

    Returns:
        0 when the file is written, 1 when images failed in the run or it cannot be written, 2
        when the shards contradict each other or some are missing.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    from annotator.core.prelabel.merging import merge
    from annotator.core.prelabel.run import RefusedError
    from annotator.core.prelabel.storage import Storage

    given = _parser().parse_args(arguments)
    try:
        merged = merge([Storage.at(place) for place in given.shards], given.out)
    except UserError as error:
        say(f"annotator merge-proposals: {error}")
        return 2 if isinstance(error, RefusedError) else 1
    if given.json:
        text = json.dumps({"out": str(given.out), **asdict(merged)}, indent=2, ensure_ascii=False)
    else:
        twice = f", {merged.twice} of them twice" if merged.twice else ""
        text = (
            f"{merged.proposals} proposals for {merged.images} images from {merged.shards} "
            f"shards{twice} in {given.out}"
        )
        for key in list(merged.failed)[:MOST_SAID]:
            say(f"{key}: {merged.failed[key]}")
        if merged.failed:
            text += f"\n{len(merged.failed)} images failed; the run's --resume tries them again."
    sys.stdout.write(f"{text}\n")
    return 1 if merged.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator merge-proposals",
        description="Put the shards of annotator prelabel --engine ray together: the same COCO "
        "results file as that of a run on one machine. Memory does not depend on its size.",
        epilog="Exit codes: 0 done, 1 images failed in the run or the file cannot be written, "
        "2 the shards contradict each other, or some are missing.",
    )
    add = parser.add_argument
    add("shards", nargs="+", metavar="SHARDS", help="folders or addresses with shards of one run")
    add("--out", type=Path, metavar="FILE", required=True, help="the COCO results file")
    add("--json", action="store_true", help="the result for programs")
    return parser
