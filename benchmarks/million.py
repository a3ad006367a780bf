"""A project with 1,000,000 annotations on 100,000 images: opening, the next image, memory.

The journal is made directly, once, in a folder that is used again (`--folder`). Each measurement is
a process of its own, as when the program starts.

    python benchmarks/million.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

IMAGES, PER_IMAGE, CLASSES = 100_000, 10, 80
LIMITS = {"opening": 2.0, "next image": 0.1, "memory": 500e6}
"""Seconds, seconds, bytes."""


def build(folder: Path, images: int) -> None:
    """The project, with a step per image, made without the program's slow path."""
    import numpy as np

    from annotator.core import raster
    from annotator.core.annotation import Annotation, Category, Origin, Source
    from annotator.core.codec import annotation_to_json, category_to_json
    from annotator.core.history import Change
    from annotator.services import journal, operations
    from models.api import Point, Prompt

    (folder / ".annotator").mkdir(parents=True)
    db, _ = journal.open_journal(folder / ".annotator" / "journal.sqlite")
    db.execute("PRAGMA synchronous=OFF")
    rng = np.random.default_rng(1)
    shapes = []
    for _ in range(200):
        y, x = np.mgrid[:480, :640]
        cy, cx, r = rng.uniform(60, 420), rng.uniform(60, 580), rng.uniform(10, 60)
        shapes.append(raster.from_array((y - cy) ** 2 + (x - cx) ** 2 < r * r))
    db.execute("BEGIN")
    for number in range(1, CLASSES + 1):
        value = Category(number, f"class {number}", "#336699")
        text = operations.text_of(category_to_json(value))
        db.execute("INSERT INTO categories VALUES(?, ?, 0, ?)", (number, number, text))
    ids = range(1, images + 1)
    keys = [f"part {number // 1000:03}/{number:06}.jpg" for number in ids]
    operations.AddImages(ids, keys, range(images)).apply(db)
    db.execute("UPDATE images SET width=640, height=480, count=?", (PER_IMAGE,))
    origin = Origin(Source.MODEL, "loupe", "1", 0.9, Prompt((Point(100, 100),)))
    for image in ids:
        first = (image - 1) * PER_IMAGE
        made = [
            Annotation(
                first + i + 1, shapes[(7 * image + i) % 200], (image + i) % CLASSES + 1, origin
            )
            for i in range(PER_IMAGE)
        ]
        db.executemany(
            "INSERT INTO annotations VALUES(?, ?, ?, ?, ?, NULL, 0)",
            [(image, a.id, i, a.category_id, operations.text_of(annotation_to_json(a)))
             for i, a in enumerate(made)],
        )  # fmt: skip
        packed = journal.pack_change(Change((), tuple(enumerate(made))))
        row = (image, image, 1e9 + image, "Pre-label", packed, 0, 0, 0, "model")
        db.execute("INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for name, value in (("annotation", images * PER_IMAGE), ("category", CLASSES), ("step", images),
                        ("unnamed", 999_999)):  # fmt: skip
        operations.raise_counter(db, name, value)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def measure(folder: Path) -> None:
    """Open the project, look at images, edit some; prints the numbers as JSON."""
    import random

    from PySide6.QtCore import QCoreApplication

    from annotator.services.document import Document

    QCoreApplication([])
    began = time.perf_counter()
    document = Document.open(folder)
    opening = time.perf_counter() - began
    keys = document.keys()
    began = time.perf_counter()
    document.add_images(keys[: len(keys)])
    scanning = time.perf_counter() - began
    chance, times = random.Random(1), []
    for _ in range(200):
        key = keys[chance.randrange(len(keys))]
        began = time.perf_counter()
        document.record(key)
        annotations = document.annotations(key)
        document.undo_text(key)
        times.append(time.perf_counter() - began)
        assert len(annotations) == PER_IMAGE
    times.sort()
    began = time.perf_counter()
    key = keys[5]
    document.edit(key, document.annotations(key)[1:], "Delete")
    document.undo(key)
    document.flush()
    editing = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"opening": opening, "scanning": scanning, "next image": times[-1],
              "next image, median": times[100], "edit, undo, durable": editing,
              "memory": memory}  # fmt: skip
    print(json.dumps(result), flush=True)
    # What was measured is done; the COCO file of a million objects is not part of it.
    os._exit(0)


def main() -> int:
    """The command line; 1 if something takes longer than promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--folder", type=Path, help="keep the project here and use it again")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / f"million-{options.images}"
        journal = folder / ".annotator" / "journal.sqlite"
        if not journal.exists():
            began = time.perf_counter()
            build(folder, options.images)
            took = time.perf_counter() - began
            print(f"journal of {journal.stat().st_size / 1e6:.0f} MB made in {took:.0f} s")
        best: dict[str, float] = {}
        for _ in range(options.runs):
            command = [sys.executable, __file__, "--measure", str(folder)]
            environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
            out = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
            for name, value in json.loads(out.stdout).items():
                best[name] = min(best.get(name, float("inf")), value)
    print(f"{options.images:,} images, {options.images * PER_IMAGE:,} annotations,"
          f" best of {options.runs}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return report(best, LIMITS)


def report(found: Mapping[str, float], limits: Mapping[str, float]) -> int:
    """Print seconds, and bytes of what is called memory; 1 if something is beyond its limit."""
    for name, value in found.items():
        shown = f"{value / 1e6:.0f} MB" if "memory" in name else f"{value * 1000:.1f} ms"
        limit = limits.get(name)
        mark = "" if limit is None else "  ok" if value <= limit else "  TOO MUCH"
        print(f"  {name:<32} {shown:>12}{mark}")
    return int(any(found[name] > limit for name, limit in limits.items()))


if __name__ == "__main__":
    sys.exit(main())
