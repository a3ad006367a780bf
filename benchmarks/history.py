"""How much room 10,000 steps take, with masks as people make them.

A project of 40 images of 12 megapixels is edited as in life: objects of a few thousand to a million
pixels with ragged outlines are added, most of them corrected by brush strokes, some are renamed,
accepted and deleted, some steps undone.

    python benchmarks/history.py --steps 10000
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    import numpy as np

    from annotator.core.mask import Mask
    from annotator.services.document import Document

WIDTH, HEIGHT = 4000, 3000
IMAGES = 40
LIMIT = 50e6


def blob(rng: np.random.Generator) -> Mask:
    """An object of 60 to 1,000 pixels across with an outline like that of a segmenter."""
    import cv2
    import numpy as np

    from annotator.core import raster

    side = int(np.exp(rng.uniform(np.log(60), np.log(1000))))
    low = cv2.resize(rng.normal(size=(6, 6)).astype(np.float32), (side, side),
                     interpolation=cv2.INTER_CUBIC)  # fmt: skip
    fine = cv2.resize(rng.normal(size=(side // 4 + 1,) * 2).astype(np.float32), (side, side))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    piece = 0.8 - np.hypot(x, y) + 0.2 * low + 0.03 * fine > 0
    place = raster.Crop(int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side)),
                        piece)  # fmt: skip
    return raster.from_crop(place, WIDTH, HEIGHT)


def stroke(mask: Mask, rng: np.random.Generator) -> Mask:
    """The object with a brush stroke at its edge."""
    import cv2
    import numpy as np

    from annotator.core import raster

    box = raster.box(mask)
    x0, y0 = max(int(box.x0) - 30, 0), max(int(box.y0) - 30, 0)
    piece = raster.crop_at(
        mask, x0, y0, min(int(box.x1) + 30, WIDTH), min(int(box.y1) + 30, HEIGHT)
    )
    before = piece.pixels
    painted = np.ascontiguousarray(before, np.uint8)
    height, width = painted.shape
    first = (int(rng.integers(0, width)), int(rng.integers(0, height)))
    last = (first[0] + int(rng.integers(-60, 60)), first[1] + int(rng.integers(-60, 60)))
    cv2.line(painted, first, last, int(rng.integers(0, 2)), int(rng.integers(6, 40)))
    return raster.patched(mask, raster.Crop(x0, y0, painted.astype(bool) ^ before))


def work(document: Document, steps: int, seed: int) -> Counter[str]:
    """Do so many steps; what they were."""
    import numpy as np

    from annotator.core.annotation import Annotation, Origin, Source
    from models.api import Point, Prompt

    chance, rng = random.Random(seed), np.random.default_rng(seed)
    keys = [f"{number:03}.jpg" for number in range(IMAGES)]
    document.add_images(keys)
    classes = [document.add_category(f"class {number}").id for number in range(12)]
    done: Counter[str] = Counter()
    for _ in range(steps):
        key = chance.choice(keys)
        state = document.annotations(key)
        what = chance.choices(
            ("add", "stroke", "rename", "delete", "undo"), (30, 50, 10, 5, 5)
        )[0]  # fmt: skip
        done[what] += 1
        if what == "undo":
            document.undo(key)
        elif what == "add" or not state:
            prompt = Prompt((Point(chance.uniform(0, WIDTH), chance.uniform(0, HEIGHT)),))
            origin = Origin(Source.MODEL, "loupe", "1", chance.random(), prompt)
            one = Annotation(document.new_id(), blob(rng), chance.choice(classes), origin)
            document.edit(key, (*state, one), "Add class")
        else:
            place = chance.randrange(len(state))
            old = state[place]
            new = {
                "stroke": lambda a=old: (replace(a, shape=stroke(a.shape, rng)),),
                "rename": lambda a=old: (replace(a, category_id=chance.choice(classes)),),
                "delete": lambda: (),
            }[what]()
            document.edit(key, (*state[:place], *new, *state[place + 1 :]), what.title())
        if document.save_state.pending > 500:
            document.flush()
    return done


def main() -> int:
    """The command line; 1 if it takes more room than promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from PySide6.QtCore import QCoreApplication

    from annotator.services.document import Document

    QCoreApplication([])
    with tempfile.TemporaryDirectory() as folder:
        document = Document.open(Path(folder))
        began = time.perf_counter()
        done = work(document, options.steps, options.seed)
        objects = sum(document.record(key).count for key in document.keys())  # noqa: SIM118
        document.flush()
        path = document.project_dir / "journal.sqlite"
        db = document.reader().connection()
        changes, number = db.execute("SELECT total(length(change)), count(*) FROM steps").fetchone()
        state = db.execute("SELECT total(length(value) + ifnull(length(coco), 0)) FROM annotations")
        current = state.fetchone()[0]
        document.close()
        size = path.stat().st_size
        took = time.perf_counter() - began
    print(f"{options.steps} steps on {IMAGES} images of 12 megapixels: {dict(done)}")
    print(f"{objects} objects now; {took:.0f} s, load {os.getloadavg()[0]:.1f}")
    each = changes / max(number, 1)
    print(f"journal {size / 1e6:.1f} MB: steps {changes / 1e6:.1f} MB, {each:.0f} bytes each;")
    print(f"current state {current / 1e6:.1f} MB")
    limit = LIMIT * options.steps / 10_000
    print(f"promised: {limit / 1e6:.1f} MB")
    return int(size > limit)


if __name__ == "__main__":
    sys.exit(main())
