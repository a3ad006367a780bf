"""Training checkpoints: written whole or not at all, read only by the version that wrote them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.api import ModelError
from models.weight_files import put_in_place


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write everything needed to go on, atomically.

    Raises:
        ModelError: the disk is full or cannot be written; an older file stays.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), part)
        put_in_place(part, path)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError about its archive.
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
        kept = f" The one from before is unharmed: “{path}”." if path.exists() else ""
        raise ModelError(
            f"The checkpoint “{path}” cannot be written ({reason}). Free some space or choose "
            f"another folder, and go on with --resume.{kept}"
        ) from error


def read_checkpoint(path: Path, *forms: str) -> dict[str, Any]:
    """A training checkpoint, of this version.

    Args:
        path: the file.
        forms: what its entry "format" may be.

    Raises:
        ModelError: it is missing, damaged or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"There is no checkpoint “{path}”.") from error
    except OSError as error:
        raise ModelError(f"“{path}” cannot be read: {error.strerror or error}.") from error
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"The checkpoint “{path}” is damaged, or no checkpoint at all. Use an earlier one."
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if found not in forms:
        what = f"“{found}”" if isinstance(found, str) else "something else"
        raise ModelError(
            f"“{path}” is not a checkpoint of this version of the training: it is {what}, not "
            f"“{forms[0]}”. Go on with the version that made it, or begin anew."
        )
    return dict(state)


def fill(module: Any, state: Any, path: Path) -> None:
    """`load_state_dict` of a network or optimizer.

    Raises:
        ModelError: the state is of something else.
    """
    try:
        module.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The checkpoint “{path}” is damaged: its parts do not fit each other. Use an "
            "earlier one."
        ) from error
