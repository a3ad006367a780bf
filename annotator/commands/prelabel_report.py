"""What a run of `annotator prelabel` did, counted and in words."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

from annotator.core.troubles import Troubles
from models.registry import segmenter_spec


@dataclass(slots=True)
class Result:
    """What has been done.

    Attributes:
        model: `SegmenterSpec.id`, "" for masks as they are.
        folder: of the images.
        out: the results file, or "" for the project.
        images: that were meant.
        made: done now.
        resumed: were done before, in the same run.
        failed: key and reason of those nothing could be done with.
        proposals: new ones.
        known: objects that were there already.
        named: proposals that got a name from the project's memory.
        classes: new ones.
        skipped: boxes that were left out by label, because there is no such class.
        troubles: everything else that was not as it should be.
        seconds: taken by all of it.
        stopped: why it ended early, or "".
        compared: with `--compare`, what the run would change, by image; "total" of all.
        workers: of a cluster, machine and process.
    """

    model: str
    folder: str
    out: str = ""
    images: int = 0
    made: int = 0
    resumed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    proposals: int = 0
    known: int = 0
    named: int = 0
    classes: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    seconds: float = 0.0
    stopped: str = ""
    compared: dict[str, Any] = field(default_factory=dict)
    workers: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Images dealt with."""
        return self.made + self.resumed + len(self.failed)


def finish(result: Result, as_json: bool, code: int) -> int:
    """Say what was done on standard output; the exit code, 1 if nobody listens any more."""
    try:
        if as_json:
            sys.stdout.write(json.dumps(_values(result), indent=2, ensure_ascii=False) + "\n")
        elif result.images or not result.stopped:
            sys.stdout.write("\n".join(_words(result)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _values(result: Result) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    troubles = result.troubles
    values["troubles"] = [
        {"what": what, "count": count, "first": troubles.first[what]}
        for what, count in troubles.counts.items()
    ]
    return values


def _words(result: Result) -> list[str]:
    before = f", {result.resumed} were done before" if result.resumed else ""
    failed = f", {len(result.failed)} failed" if result.failed else ""
    known = f" ({result.known} were known already)" if result.known else ""
    where = result.out or result.folder
    if result.compared:
        return [*_compared(result), *result.troubles.sentences()]
    lines = [
        f"{result.made} of {result.images} images done{before}{failed}: "
        f"{result.proposals} proposals{known} {_maker(result.model)} in {where}"
    ]
    if result.named:
        lines.append(f"{result.named} got a name, because they look like named objects.")
    if result.classes:
        lines.append(f"New classes: {', '.join(result.classes)}.")
    if result.skipped:
        names = ", ".join(f"{name} ({count})" for name, count in result.skipped.items())
        lines.append(f"Boxes left out, because there is no such class: {names}.")
    return [*lines, *result.troubles.sentences()]


def _maker(model_id: str) -> str:
    return f"by {_title(model_id)}" if model_id else "as they came"


def _title(model_id: str) -> str:
    if not model_id:
        return "the file"
    from models.labelling import labellers

    known = labellers().get(model_id)
    return known.title if known is not None else segmenter_spec(model_id).title


COLUMNS = ("same", "changed", "missing", "added")


def _compared(result: Result) -> list[str]:
    """A table: a row for every image with differences, and one for all."""
    total, images = result.compared["total"], result.compared["images"]
    rows = []
    for key, found in images.items():
        kinds = [one["kind"] for one in found["differences"]]
        if kinds:
            counts = (found["same"], *(kinds.count(kind) for kind in COLUMNS[1:]))
            rows.append((*counts, key))
    rows.append((*(total[name] for name in COLUMNS), f"{len(images)} images"))
    failed = f"; {len(result.failed)} failed" if result.failed else ""
    return [
        "".join(f"{name:>9}" for name in COLUMNS) + "  image",
        *("".join(f"{count:>9}" for count in counts) + f"  {key}" for *counts, key in rows),
        f"Accepted objects against {_title(result.model)}; nothing was written{failed}.",
    ]
