"""Commands of the command line that open no window: `annotator models …`, `annotator embed …`.

A command is a module with `run(arguments) -> exit code`; it is imported only when it is asked for.
"""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Mapping, Sequence
from types import MappingProxyType

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "models": "list, download, check, import and remove the files of models",
        "embed": "prepare the images of a folder, so that each is clickable at once",
        "prelabel": "propose the objects of all images of a folder",
        "merge-proposals": "put the shards of a run on many machines together",
        "export": "write what was accepted in a project for training, in any format",
        "import": "add the objects of a file or folder, in any format, to a project",
        "convert": "read one format and write another, without a project",
        "check": "say what may be wrong with the objects of a project, and repair it",
        "statistics": "write plots and tables of classes, sizes, places and progress",
        "validate": "say what trainers would stumble over in a COCO file, and repair it",
        "compact": "forget old steps of a project's history, so that it takes less room",
        "frames": "write the frames of a video as files, for other programs",
        "adapt": "train the built-in model further on what was accepted in a project",
        "evaluate-names": "measure how often the right name is suggested",
    }
)
"""What comes first on the command line, and what it does; `name` is the module of the same name
with underscores (`import_`, because Python has that word)."""


def is_command(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a command instead of the window."""
    return bool(arguments) and arguments[0] in COMMANDS


def run(arguments: Sequence[str]) -> int:
    """Run the command a command line begins with.

    Returns:
        The exit code: 0 when all went well, 1 when something failed.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    name = arguments[0].replace("-", "_")
    name += "_" if keyword.iskeyword(name) else ""
    module = importlib.import_module(f"annotator.commands.{name}")
    code: int = module.run(list(arguments[1:]))
    return code


def summary() -> str:
    """The commands, for the help of the program."""
    lines = [f"  {name:<16} {text}" for name, text in COMMANDS.items()]
    hint = (
        "“annotator COMMAND --help” says more about each. A folder with the name of a command is "
        "opened with, for example, annotator ./models."
    )
    return "\n".join(["commands (annotator COMMAND …):", *lines]) + f"\n\n{hint}"
