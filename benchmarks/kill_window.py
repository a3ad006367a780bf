"""Kill the real window at random moments of a labelling session; nothing shown may be lost.

The child process starts the program as a user does (offscreen), then clicks and presses a digit 200
times as fast as it can, walking through the images. It prints what has been *shown* as saved. The
parent kills it with SIGKILL at a random moment and opens the folder again.

    python benchmarks/kill_window.py --kills 50
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

OBJECTS = 200
IMAGES = 4


def make_images(folder: Path) -> None:
    """Pictures with coloured disks."""
    from tests.e2e.user import draw_disks

    for number in range(IMAGES):
        disks = [
            (40 + 60 * i, 60 + 110 * j, 24, (40 + 40 * i, 200 - 50 * number, 60 + 120 * j))
            for i in range(5)
            for j in range(2)
        ]
        draw_disks(folder / f"part {number % 2}" / f"img{number}.png", disks)


# --- The child ---


def act(folder: Path, seed: int) -> None:
    """Label until killed or done."""
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    from annotator.app import fill, make_application, make_window
    from annotator.session import Player, wait_until

    window = make_window(make_application())
    window.show()
    fill(window)
    window.start(folder, None)
    workspace = window.workspace
    player = Player(window)
    wait_until(lambda: workspace.image is not None and workspace.image.complete, "an image")
    document = workspace.document
    assert document is not None
    document.add_category("disk")
    told: set[int] = set()

    def tell() -> None:
        # What the status bar calls saved: everything in the document while nothing is pending.
        if document.save_state.pending or document.save_state.error:
            return
        for key in tuple(document.keys()):
            for annotation in document.annotations(key):
                if annotation.id not in told:
                    told.add(annotation.id)
                    print(f"SHOWN {annotation.id} {hash_of(annotation.shape)}", flush=True)

    document.save_state_changed.connect(lambda _: tell())
    rng = random.Random(seed)
    for _ in range(OBJECTS):
        player.click(rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95))
        if rng.random() < 0.5:
            player.wait_for_mask()
        QTest.keyClicks(window.canvas, "1")
        if rng.random() < 0.2:
            QTest.keyClicks(window.canvas, rng.choice("dada"))
            wait_until(lambda: workspace.image is not None and workspace.image.complete, "an image")
        QApplication.processEvents()
    window.close()


def hash_of(shape: object) -> str:
    """The same for equal shapes in every process."""
    import hashlib

    from annotator.core.mask import Mask

    counts = shape.counts if isinstance(shape, Mask) else repr(shape).encode()
    return hashlib.sha256(counts).hexdigest()[:16]


# --- The parent ---


def kill_once(folder: Path, seed: int, longest: float) -> tuple[int, list[str]]:
    """Run the child on a folder of images, kill it, and compare.

    Args:
        folder: an empty folder.
        seed: makes the moment and the session.
        longest: seconds after the first object shown at which the kill comes at the latest.

    Returns:
        How many objects had been shown, and the broken promises.
    """
    make_images(folder)
    child = subprocess.Popen(
        [sys.executable, __file__, "--act", str(folder), "--seed", str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ
        | {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(folder / ".config")},
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(random.Random(seed).uniform(0, longest))
    child.kill()
    text = (first + child.stdout.read()).decode()
    child.stdout.close()
    child.wait()
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    shown = {int(line.split()[1]): line.split()[2] for line in lines}
    return len(shown), compare(folder, shown)


def compare(folder: Path, shown: dict[int, str]) -> list[str]:
    """What of the things shown is missing or different after opening the folder again."""
    from annotator.services.document import Document

    document = Document.open(folder)
    try:
        found = {
            annotation.id: hash_of(annotation.shape)
            for key in tuple(document.keys())
            for annotation in document.annotations(key)
        }
    finally:
        document.close()
    return [
        f"object {number} is {'different' if number in found else 'lost'}"
        for number, mask in shown.items()
        if found.get(number) != mask
    ]


def main() -> int:
    """The command line; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=8.0, help="seconds of labelling at most")
    parser.add_argument("--act", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act is not None:
        act(options.act, options.seed)
        return 0
    from PySide6.QtCore import QCoreApplication

    app = QCoreApplication([])
    total, problems, begin = 0, [], time.monotonic()
    for number in range(options.kills):
        with tempfile.TemporaryDirectory() as folder:
            shown, broken = kill_once(Path(folder), options.seed + number, options.longest)
        app.processEvents()
        total += shown
        problems += [f"kill {number}: {problem}" for problem in broken]
        print(f"kill {number:3}: {shown:3} shown, {len(broken)} problems", flush=True)
    print(
        f"{options.kills} kills of the window in {time.monotonic() - begin:.0f} s, "
        f"{total} objects shown, {len(problems)} lost or different"
    )
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
