"""The real window, pre-labelling a folder until it is killed; prints how many images are done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QApplication

from annotator.app import fill, make_application, make_window
from annotator.core.errors import UserError
from annotator.services.folder_run import Progress
from annotator.services.run_preparing import Order
from annotator.session import wait_until


def main(folder: Path, values: dict[str, Any]) -> None:
    """Begin, or go on."""
    window = make_window(make_application())
    window.show()
    fill(window)
    window.start(folder, None)
    workspace, run = window.workspace, window.prelabelling.run
    wait_until(lambda: workspace.image is not None and workspace.image.complete, "an image")
    document = workspace.document
    assert document is not None

    def tell(progress: Progress) -> None:
        print(progress.done, flush=True)

    run.progressed.connect(tell)
    run.finished.connect(lambda _: window.close())
    try:
        run.resume()
    except UserError:
        run.start(Order("everything", values, "loupe"), list(document.keys()))
    QApplication.exec()


if __name__ == "__main__":
    grid = {"side": 4, "min_score": -1.0, "min_stability": -1.0, "max_overlap": 0.6, "min_area": 64}
    main(Path(sys.argv[1]), grid)
