from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_every_format_is_readable_in_a_fresh_process() -> None:
    # Pillow registers its plug-ins lazily: another test may have hidden that one is missing.
    sample = Path(__file__).parents[2] / "resources" / "samples" / "coins.png"
    code = "import sys, pathlib; from annotator.core import images\n"
    code += "print(images.probe(pathlib.Path(sys.argv[1])).width)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(sample)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "384", done.stderr
