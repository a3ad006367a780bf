"""Stands in for `annotator adapt`: says what a test wants to hear, without torch.

Called with a kind of ending before the arguments of `annotator adapt`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def main() -> None:
    kind, arguments = sys.argv[1], sys.argv[2:]
    log = Path(os.environ["ADAPTING_LOG"])
    log.write_text(json.dumps({"arguments": arguments, "pid": os.getpid()}))
    say("begun", images=9, objects=40)
    print("a library says something", flush=True)
    say("progress", doing="Training", share=0.42, seconds_left=181.0)
    if kind == "deaf":
        work = Path(os.environ["ANNOTATOR_MODELS"]) / "adapted" / f".making-{os.getpid()}"
        work.mkdir(parents=True)
        log.with_suffix(".ready").touch()
        while True:
            sys.stdin.read()
    if kind == "waits":
        log.with_suffix(".ready").touch()
        sys.stdin.read()
        say("stopped")
        sys.exit(1)
    if kind == "crashes":
        sys.exit("Segmentation fault, say")
    if kind == "refuses":
        say("refused", reason="It does not help: too little to learn.")
        sys.exit(1)
    from tests.training.cards import offer

    model = offer("disks")
    before = {"box": 0.5, "point": 0.25, "point +1": 0.5}
    after = {"box": 0.875, "point": 0.5, "point +1": 0.75}
    say(
        "adapted", id=model.id, title=model.title, before=before, after=after, objects=11,
        images=3, problems=["“x.png” is damaged."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
