"""How long the vocabulary editor takes to open, to read its text and to apply, in a whole window.

    python benchmarks/vocabulary.py [--classes 1203 20000]

Everything that follows `categories_changed` is included: the lists, the canvas, the commands. The
list of LVIS has 1,203 classes; 20,000 is the most a project takes. The file of 100,000 lines is
read and refused.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image
from PySide6.QtWidgets import QApplication

from annotator.app import fill, make_window
from annotator.core.errors import UserError
from annotator.core.vocabulary import parse
from annotator.core.vocabulary_files import read_vocabulary
from annotator.session import wait_until
from annotator.ui.vocabulary_dialog import VocabularyDialog


def milliseconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def measure(window: object, count: int) -> None:
    """Fill the editor with this many classes, apply, and open it again."""
    document = window.workspace.document  # type: ignore[attr-defined]
    vocabulary = parse("\n".join(f"class {i}, synonym {i}" for i in range(count)))
    dialog = VocabularyDialog(document, window)  # type: ignore[arg-type]
    dialog.replaces.setChecked(True)
    dialog.show()
    filled = milliseconds(lambda: dialog.take(vocabulary, "benchmark"))
    read = milliseconds(dialog.check)
    applied = milliseconds(dialog.apply)
    opened = milliseconds(lambda: VocabularyDialog(document, window).done(0))  # type: ignore[arg-type]
    search = window.label_panel.search  # type: ignore[attr-defined]
    first = milliseconds(lambda: search.setText("synonym 7"))
    second = milliseconds(lambda: search.setText("synonym 77"))
    search.clear()
    print(
        f"{count:>6,} classes: fill {filled:.0f} ms, read {read:.0f} ms, apply {applied:.0f} ms, "
        f"open {opened:.0f} ms, search {first:.0f} ms, then {second:.0f} ms"
    )


def main() -> int:
    """Measure in a window on a folder made for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[1203, 20_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        Image.fromarray(np.full((240, 320, 3), 90, np.uint8)).save(folder / "a.png")
        os.environ["XDG_CONFIG_HOME"] = name
        application = QApplication([])
        window = make_window(application)
        window.show()
        fill(window)
        window.start(folder, None)
        wait_until(lambda: window.workspace.image is not None, "the image")
        for count in arguments.classes:
            measure(window, count)
        lines = Path(name) / "lines.txt"
        lines.write_text("\n".join(f"class {i}" for i in range(100_000)))
        try:
            took = milliseconds(lambda: read_vocabulary(lines))
        except UserError as error:
            took = 0.0
            print(f"100,000 lines: {error}")
        assert not took, "a hundred thousand classes were taken"
        window.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
