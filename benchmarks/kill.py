"""Kill the program at random moments and count what is lost (nothing may be).

A child process opens a folder as a project and accepts 200 objects, now and then taking one back
and doing it again, accepting in both images as one group step, taking group steps back and doing
them again, and renaming its class; sometimes faster than the disk. It prints what it has *shown* as
accepted. The parent kills it with SIGKILL at a random moment, looks at what lies on the disk, opens
the folder again and checks every promise: all objects shown are there with their exact masks, the
journal is sound, the COCO file is a consistent earlier state, the history is complete, and taking
everything back, group steps as wholes, leads to where it began.

    python benchmarks/kill.py --kills 50
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from annotator.core.mask import Mask
    from annotator.services.document import Document

OBJECTS = 200
SIZE = 256
KEYS = ("a.png", "sub/a.png")


def mask_of(number: int) -> Mask:
    """The mask of object `number`: ragged, with holes, another one for every number."""
    import numpy as np

    from annotator.core import raster

    rng = np.random.default_rng(number)
    image = np.zeros((SIZE, SIZE), bool)
    y, x = rng.integers(0, SIZE // 2, 2)
    image[y : y + 60, x : x + 80] = rng.random((60, 80)) > 0.1
    return raster.from_array(image)


# --- The child ---


def act(folder: Path, seed: int) -> None:
    """Accept objects until killed or done."""
    from PySide6.QtCore import QCoreApplication, QEventLoop

    from annotator.core.annotation import Annotation
    from annotator.services.document import Document

    app = QCoreApplication([])
    document = Document.open(folder)
    document.add_images(KEYS)
    category = document.add_category("thing").id
    waiting: dict[int, int] = {}

    def show(step: int) -> None:
        print(f"SHOWN {waiting.pop(step)}", flush=True)

    def turn() -> None:
        app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 20)

    document.edit_saved.connect(show)
    rng = random.Random(seed)

    def accept(key: str, number: int) -> None:
        annotation_id = document.new_id()
        annotation = Annotation(annotation_id, mask_of(annotation_id), category)
        step = document.edit(key, (*document.annotations(key), annotation), f"Accept {number}")
        waiting[step] = annotation_id

    for number in range(1, OBJECTS + 1):
        key = rng.choice(KEYS)
        accept(key, number)
        if rng.random() < 0.15:
            act_on_groups(document, accept, number, rng.random() < 0.5)
        if rng.random() < 0.1:
            document.undo(key)
            document.redo(key)
        if rng.random() < 0.05:
            document.save()
        # Sometimes the user is faster than the disk.
        while waiting and rng.random() < 0.9:
            turn()
        if rng.random() < 0.5:
            time.sleep(0.005)
    while waiting:
        turn()
    document.close()


def act_on_groups(
    document: Document, accept: Callable[[str, int], None], number: int, rename: bool
) -> None:
    """A group step, taken back and done again; now and then another name for the class."""
    history = document.history
    group = history.begin("accept", f"Accept {number} everywhere")
    for key in KEYS:
        with history.inside(group):
            accept(key, number)
    if rename:
        document.change_category(replace(document.categories()[0], name=f"thing {number}"))
    for work in (history.taking_back(group), history.doing_again(group)):
        for _ in work:
            pass


# --- The parent ---


@dataclass
class Outcome:
    """What one kill did.

    Attributes:
        shown: ids of the objects whose acceptance was shown.
        found: ids of the objects that are there on reopening.
        kept: the same, and those whose taking back was the last thing before the kill.
        coco: number of objects in the COCO file as the kill left it, -1 without a file.
        problems: broken promises.
    """

    shown: list[int]
    found: list[int] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)
    coco: int = -1
    problems: list[str] = field(default_factory=list)


def kill_once(folder: Path, seed: int, longest: float = 3.0) -> Outcome:
    """Run the child in an empty folder, kill it, and check what is left.

    Args:
        folder: an empty folder.
        seed: makes the moment and the session.
        longest: seconds after the first object shown at which the kill comes at the latest.
    """
    child = subprocess.Popen(
        [sys.executable, __file__, "--act", str(folder), "--seed", str(seed)],
        stdout=subprocess.PIPE,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    # The pipe holds all that the child can print, so it never waits for us.
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(random.Random(seed).uniform(0, longest))
    child.kill()
    text = (first + child.stdout.read()).decode()
    child.stdout.close()
    child.wait()
    # A line cut off by the kill was not shown.
    shown = [int(line.split()[1]) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
    outcome = Outcome(shown)
    _check_disk(folder, outcome)
    _check_groups(folder, outcome)
    _check_document(folder, outcome)
    _check_coco(folder, outcome)
    return outcome


def _check_disk(folder: Path, outcome: Outcome) -> None:
    """The files exactly as the kill left them."""
    coco = _load_coco(folder)
    if coco is not None:
        outcome.coco = len(coco)
        outcome.problems += [
            f"COCO: object {number} has another mask"
            for number, mask in coco.items()
            if mask != mask_of(number)
        ]
    db = sqlite3.connect(folder / ".annotator" / "journal.sqlite")
    verdict = db.execute("PRAGMA quick_check").fetchone()[0]
    saved = {row[0] for row in db.execute("SELECT id FROM annotations")}
    db.close()
    if verdict != "ok":
        outcome.problems.append(f"quick_check: {verdict}")
    if coco is not None and not set(coco) <= saved:
        outcome.problems.append("the COCO file is ahead of the journal")


def _check_groups(folder: Path, outcome: Outcome) -> None:
    """On a copy: everything is taken back, the newest first."""
    from annotator.services.document import Document

    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        shutil.copytree(folder, copy)
        document = Document.open(copy)
        try:
            while _undo_newest(document, outcome):
                pass
            rest = sum(len(document.annotations(key)) for key in document.keys())  # noqa: SIM118
            if rest or document.categories():
                outcome.problems.append(f"{rest} objects stay when everything is taken back")
        finally:
            document.close()


def _undo_newest(document: Document, outcome: Outcome) -> bool:
    """Take back the newest group step or step; False where there is none."""
    group = document.history.newest()
    steps = {document.last_step(key): key for key in document.keys()}  # noqa: SIM118
    newest = max(steps, default=0)
    if newest and (group is None or not _comes_first(document, group.id, newest)):
        document.undo(steps[newest])
        return True
    if group is None:
        return False
    work = document.history.taking_back(group.id)
    while True:
        try:
            next(work)
        except StopIteration as end:
            if end.value.left or end.value.classes:
                outcome.problems.append(f"a group step is not taken back: {end.value.text}")
            return True


def _comes_first(document: Document, group: int, newest: int) -> bool:
    """Whether a group step is to be taken back before the newest step of an image."""
    if newest < group:
        return True
    db = document.reader().connection()
    part = db.execute("SELECT part FROM steps WHERE id=?", (newest,)).fetchone()[0]
    db.close()
    return bool(part == group)


def _check_document(folder: Path, outcome: Outcome) -> None:
    from annotator.services.document import Document

    document = Document.open(folder)
    try:
        for key in document.keys():  # noqa: SIM118 - not a dict
            _check_image(document, key, outcome)
    finally:
        document.close()
    missing = sorted(set(outcome.shown) - outcome.kept)
    if missing:
        outcome.problems.append(f"shown but lost: {missing}")


def _check_image(document: Document, key: str, outcome: Outcome) -> None:
    complain = outcome.problems.append
    annotations = document.annotations(key)
    outcome.found += [a.id for a in annotations]
    for annotation in annotations:
        if annotation.shape != mask_of(annotation.id):
            complain(f"object {annotation.id} has another mask")
    if document.record(key).count != len(annotations):
        complain(f"{key}: the count is wrong")
    while document.redo(key):
        pass
    last = document.annotations(key)
    outcome.kept |= {a.id for a in last}
    steps = 0
    while document.undo(key):
        steps += 1
    if document.annotations(key) or steps != len(last):
        complain(f"{key}: {steps} steps for {len(last)} objects")
    for _ in range(len(annotations)):
        document.redo(key)
    if document.annotations(key) != annotations:
        complain(f"{key}: the history leads to another state")


def _check_coco(folder: Path, outcome: Outcome) -> None:
    """The file after a normal closing."""
    coco = _load_coco(folder)
    if outcome.found and (coco is None or sorted(coco) != sorted(outcome.found)):
        outcome.problems.append("the COCO file does not show the journal's objects")


def _load_coco(folder: Path) -> dict[int, Mask] | None:
    from pycocotools.coco import COCO

    from annotator.core.mask import Mask

    path = folder / "annotations.json"
    if not path.exists():
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    masks = {}
    for number, entry in coco.anns.items():
        rle = coco.annToRLE(entry)
        counts = rle["counts"]
        counts = counts.encode() if isinstance(counts, str) else counts
        masks[number] = Mask(rle["size"][1], rle["size"][0], counts)
    return masks


def main() -> int:
    """The command line; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--act", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act is not None:
        act(options.act, options.seed)
        return 0
    from PySide6.QtCore import QCoreApplication

    app = QCoreApplication([])
    shown = unshown = with_coco = 0
    problems: list[str] = []
    for number in range(options.kills):
        with tempfile.TemporaryDirectory() as folder:
            outcome = kill_once(Path(folder), options.seed + number)
        app.processEvents()
        shown += len(outcome.shown)
        unshown += len(outcome.found) - len(outcome.shown)
        with_coco += outcome.coco >= 0
        problems += [f"kill {number}: {problem}" for problem in outcome.problems]
        print(
            f"kill {number:3}: {len(outcome.shown):3} shown, {len(outcome.found):3} found, "
            f"{outcome.coco:3} in the COCO file, {len(outcome.problems)} problems"
        )
    print(
        f"{options.kills} kills, {shown} objects shown, 0 of them lost; {unshown} more were there "
        f"unshown; {with_coco} COCO files, all readable"
        if not problems
        else "\n".join(problems)
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
