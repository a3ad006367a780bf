"""`python -m models.training COMMAND`: measure models, make them, describe them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from models.api import ModelError

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "evaluate": ("models.training.evaluation.command", "measure models on labelled images"),
        "train": ("models.training.train_command", "train Loupe, the model that ships"),
        "distill": ("models.training.distillation.command", "distil EdgeSAM from a teacher"),
        "sam2clip": ("models.training.ovsam.neck_command", "teach Open-Vocabulary SAM's neck"),
        "clip2sam": (
            "models.training.ovsam.head_command",
            "teach Open-Vocabulary SAM masks and names",
        ),
        "export": ("models.training.export_command", "make graphs of a checkpoint of Loupe"),
    }
)
"""What comes first on the command line: its module with `run(arguments) -> exit code`, and help."""


def main(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns:
        0 when all went well, 1 with a message when something failed or was stopped, 2 for an
        unknown command.
    """
    if not arguments or arguments[0] not in COMMANDS:
        asked = list(arguments[:1]) in (["-h"], ["--help"])
        lines = [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
        text = "\n".join(["usage: python -m models.training COMMAND …", "", *lines, ""])
        (sys.stdout if asked else sys.stderr).write(text)
        return 0 if asked else 2
    try:
        command = importlib.import_module(COMMANDS[arguments[0]][0])
        code: int = command.run(list(arguments[1:]))
    except ModelError as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
