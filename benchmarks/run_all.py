"""Run every benchmark once, one after the other, and print what each prints: `make bench`.

Those that need images of `../shared/data` are left out where it is absent.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "eval_coco_dev"

RUNS: tuple[tuple[str, ...], ...] = (
    ("startup.py",),
    ("click.py",),
    ("runtimes.py",),
    ("click.py", "--model", "edgesam"),
    ("click_rival.py",),
    ("everything.py",),
    ("open_folder.py",),
    ("image_change.py",),
    ("canvas.py",),
    ("editing.py",),
    ("embedding_cache.py",),
    ("prelabel.py",),
    ("prelabel_window.py",),
    ("vocabulary.py",),
    ("finding.py",),
    ("export.py",),
    ("ovsam.py",),
    ("million.py",),
    ("million_window.py",),
    ("kill.py", "--kills", "50"),
    ("kill_window.py", "--kills", "50"),
)
WITH_DATA: tuple[tuple[str, ...], ...] = (
    ("-m", "models.training", "evaluate", str(DATA), "--min-area", "1024"),
    ("-m", "annotator", "evaluate-names", str(DATA), "--shuffle"),
    ("finding.py", "--data", str(DATA)),
    ("everything_quality.py", str(DATA), "--limit", "10"),
    ("propagation.py", str(DATA)),
)


def main() -> int:
    """Run them; 1 when one of them failed."""
    failed = []
    for name, *arguments in RUNS + (WITH_DATA if DATA.is_dir() else ()):
        print(f"\n## {name} {' '.join(arguments)}\n", flush=True)
        program = str(HERE / name) if name.endswith(".py") else name
        done = subprocess.run([sys.executable, program, *arguments], check=False, cwd=HERE.parent)
        if done.returncode:
            failed.append(" ".join((name, *arguments)))
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall ran")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
