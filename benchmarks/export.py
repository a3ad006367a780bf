"""A million annotations: export as COCO, in bounded memory, against orjson writing it from memory.

    python benchmarks/export.py [--annotations 1000000] [--folder DIR]

A project's journal is made (ten objects an image, real outlines and RLE, with the COCO entries the
journal keeps). One child exports it; another one loads the result, and writes the same JSON with
orjson from memory. Printed are both times, their ratio (the budget is 0.5), the peak memory of
exporting a tenth and all of it, and the rate where no entry was kept yet and every object is
another one (as right after an import, before the COCO file is written for the first time).
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
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from annotator.core.annotation import Annotation

PER_IMAGE = 10
KINDS = 200
SIZE = (640, 480)


def main() -> int:
    """Run it; 1 where the budget is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("WORK", "PATH"))
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](Path(given.child[1]))))
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        return measure(Path(folder), given.annotations)


def measure(folder: Path, count: int) -> int:
    """Make projects, run the children, print."""
    whole, tenth, bare = folder / "whole", folder / "tenth", folder / "bare"
    make_project(whole, count)
    make_project(tenth, count // 10)
    make_project(bare, count // 100, kept=False)
    small, large = child("export", tenth), child("export", whole)
    plain = child("orjson", whole)
    again = child("export", whole)
    seconds = min(large["seconds"], again["seconds"])
    ratio = plain["seconds"] / seconds
    size = plain["bytes"] / 1e6
    print(f"{count:,} annotations, {size:.0f} MB of JSON")
    print(f"export from the journal  {seconds:6.2f} s  {count / seconds:12,.0f}/s")
    print(
        f"orjson from memory       {plain['seconds']:6.2f} s  {count / plain['seconds']:12,.0f}/s"
    )
    print(f"rate of the export, in units of orjson's: {ratio:.2f} (budget 0.5)")
    print(f"peak memory: a tenth {small['peak']:.0f} MB, all {large['peak']:.0f} MB, "
          f"orjson {plain['peak']:.0f} MB")  # fmt: skip
    fresh = child("export", bare)["seconds"]
    print(f"where no entry was kept: {count // 100 / fresh:,.0f}/s")
    return int(ratio < 0.5)


def child(work: str, path: Path) -> dict[str, float]:
    """What a fresh process measures."""
    # What others have yet to write would slow down whoever comes next.
    os.sync()
    command = [sys.executable, __file__, "--child", work, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_export(folder: Path) -> dict[str, float]:
    """Seconds of one export and the peak memory of the process."""
    from annotator.core.formats.exporting import ExportOptions, export
    from annotator.core.formats.registry import format_spec
    from annotator.services.project_content import project_content

    spec = format_spec("coco")
    began = time.perf_counter()
    with project_content(folder) as content:
        export(content, spec, folder / "out.json", ExportOptions(overwrite=True))
    return {"seconds": time.perf_counter() - began, "peak": peak()}


def run_orjson(folder: Path) -> dict[str, float]:
    """Seconds to write what is in memory already."""
    import orjson

    value = orjson.loads((folder / "out.json").read_bytes())
    path = folder / "plain.json"
    began = time.perf_counter()
    with path.open("wb") as file:
        file.write(orjson.dumps(value))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": path.stat().st_size, "peak": peak()}


CHILDREN = {"export": run_export, "orjson": run_orjson}


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_project(folder: Path, count: int, *, kept: bool = True) -> None:
    """A journal with this many objects; images exist in it only."""
    from annotator.core import raster
    from annotator.core.codec import annotation_to_json
    from annotator.core.files import to_json
    from annotator.core.formats.coco.dataset import UNNAMED_ID, new_header
    from annotator.core.formats.coco.writing import annotation_entry
    from annotator.services.journal import open_journal

    (folder / ".annotator").mkdir(parents=True)
    db, _ = open_journal(folder / ".annotator" / "journal.sqlite")
    samples = [
        (to_json(annotation_to_json(a)).decode(), annotation_entry(a, 111, *SIZE).decode())
        for a in kinds()
    ]
    db.execute("BEGIN")
    for place, (name, value) in enumerate(new_header("benchmark", "2026-01-01").items()):
        db.execute("INSERT INTO header VALUES(?, ?, ?)", (place, name, to_json(value).decode()))
    db.execute("INSERT OR REPLACE INTO counters VALUES('unnamed', ?)", (UNNAMED_ID,))
    category = {"id": 1, "name": "thing", "color": "#112233"}
    db.execute("INSERT INTO categories VALUES(1, 0, 0, ?)", (json.dumps(category),))
    images = max(count // PER_IMAGE, 1)
    db.executemany(
        "INSERT INTO images VALUES(?, ?, ?, ?, ?, 1, ?, 0, 0, '{}', '')",
        ((i, f"folder {i % 50}/image {i:07}.jpg", i, *SIZE, PER_IMAGE)
         for i in range(1, images + 1)),
    )  # fmt: skip

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(1, images * PER_IMAGE + 1):
            image = (number - 1) // PER_IMAGE + 1
            value, entry = samples[number % KINDS] if kept else (moved(number), "")
            value = value.replace('"id":1,', f'"id":{number},', 1)
            entry = entry.replace('"id":1,"image_id":111', f'"id":{number},"image_id":{image}', 1)
            yield image, number, number, 1, value, entry if kept else None

    shapes = [a.shape for a in kinds()]

    def moved(number: int) -> str:
        kind, step = number % KINDS, number // KINDS
        shape = raster.move(shapes[kind], step % 13 - 6, step // 13 % 13 - 6)
        return to_json(annotation_to_json(Annotation(1, shape, 1))).decode()

    db.executemany("INSERT INTO annotations VALUES(?, ?, ?, ?, ?, ?, 0)", rows())
    db.execute("COMMIT")
    db.close()


def kinds() -> Iterator[Annotation]:
    """Objects as people make them: ragged outlines, some with holes (RLE)."""
    from annotator.core import raster

    random = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    for place in range(KINDS):
        cx, cy, r = random.uniform(80, 560), random.uniform(80, 400), random.uniform(8, 60)
        angle = np.arctan2(y - cy, x - cx)
        far = np.hypot(x - cx, y - cy) / (1 + 0.15 * np.sin(5 * angle))
        image = (far < r) & ((far > r / 3) if place % 4 == 0 else True)
        yield Annotation(1, raster.from_array(image), 1)


if __name__ == "__main__":
    sys.exit(main())
