"""Start-up and memory, as ratios to a bare PySide6 main window, in alternating fresh processes.

The processor time, of all threads until the first prompt can be answered, hardly depends on what
else the machine does.

python benchmarks/startup.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import sys, time
from PySide6.QtWidgets import QApplication, QMainWindow
application = QApplication(sys.argv)
window = QMainWindow()
window.resize(1360, 860)
window.show()
application.processEvents()
print("shown", time.time())
print("busy_cpu", time.process_time())
"""

REAL = """
import resource, sys, time
from pathlib import Path
from annotator.app import fill, make_application, make_window
application = make_application()
window = make_window(application)
window.show()
while window._waiting_for_paint:
    application.processEvents()
print("shown", time.time())
fill(window)
window.start(Path(sys.argv[1]), None)
workspace = window.workspace
first = complete = None
prepared = []
workspace.assistant.prepared.connect(lambda key: prepared.append(key))
while not prepared:
    application.processEvents()
    if first is None and workspace.image is not None:
        first = time.time()
    time.sleep(0.001)
print("first_image", first)
print("ready", time.time())
print("busy_cpu", time.process_time())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
print("resident_mb", resident)
print("peak_mb", peak)
window.close()
"""


def run(code: str, *arguments: str) -> dict[str, float]:
    """Milestones of one fresh process in seconds since its start, processor time, megabytes."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its byte code
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "QT_QPA_PLATFORM": "offscreen"},
    )
    values = dict(line.split() for line in done.stdout.splitlines())
    amounts = ("_mb", "_cpu")
    return {k: float(v) - (0 if k.endswith(amounts) else started) for k, v in values.items()}


def make_image(folder: Path, width: int, height: int, noise: int = 12) -> None:
    """A noisy photograph-like JPEG; 12 megapixels with noise 26 take 3.6 MB, as photographs do."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = cv2.add(picture, rng.integers(0, noise, picture.shape, dtype=np.uint8))
    cv2.imwrite(str(folder / "picture.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        sizes = {"1 MP": (1024, 1024), "12 MP": (4000, 3000)}
        for title, size in sizes.items():
            folder = Path(name) / title
            folder.mkdir()
            make_image(folder, *size)
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        bare, real = [], {title: [] for title in sizes}
        run(BARE)
        for _ in range(rounds):
            bare.append(run(BARE))
            for title in sizes:
                real[title].append(run(REAL, str(Path(name) / title)))
    base = {k: statistics.median(r[k] for r in bare) for k in ("shown", "busy_cpu")}
    print(
        f"bare PySide6 main window: {base['shown'] * 1000:.0f} ms, "
        f"{base['busy_cpu'] * 1000:.0f} ms of processor time\n"
    )
    print("| image | window shown | first image | ready | processor time | resident | peak |")
    print("|---|---|---|---|---|---|---|")
    for title, runs in real.items():
        cells = [
            f"{statistics.median(r[k] for r in runs) * 1000:.0f} ms "
            f"(x {statistics.median(r[k] for r in runs) / base[unit]:.2f})"
            for k, unit in (
                ("shown", "shown"),
                ("first_image", "shown"),
                ("ready", "shown"),
                ("busy_cpu", "busy_cpu"),
            )
        ]
        cells += [
            f"{statistics.median(r[k] for r in runs):.0f} MB" for k in ("resident_mb", "peak_mb")
        ]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
