"""Published and own checkpoints into networks: key for key, or a clear refusal.

Loading never runs code from the file. `strict=False` does not exist here: a half-loaded network
answers, and answers wrongly (spec/edgesam.md, section 7.2).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from models.api import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# What training programs put around the weights.
WRAPPERS = ("model", "state_dict", "model_state_dict", "module", "model_ema", "ema")
# What data-parallel training and compilation put before every key.
PREFIXES = ("module.", "_orig_mod.")
_REBUILDERS = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("collections", "OrderedDict"),
}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint on the CPU, wrappers and prefixes removed.

    Args:
        path: a file written by `torch.save`: a state dict, or a training checkpoint around one.

    Raises:
        ModelError: missing, damaged, or without weights.
    """
    return unwrap(_content(path), path)


def read_tensor(path: Path) -> Tensor:
    """The tensor that a file consists of, on the CPU.

    Raises:
        ModelError: missing, damaged, or something else.
    """
    import torch

    content = _content(path)
    if not isinstance(content, torch.Tensor):
        raise ModelError(f"“{path.name}” is not a single tensor.")
    return content


def _content(path: Path) -> object:
    import torch

    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"The weights “{path}” do not exist.") from error
    except pickle.UnpicklingError:
        content = _read_without_objects(path)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path) from error
    return content


def unwrap(content: object, path: Path) -> dict[str, Tensor]:
    """Find the state dict inside whatever a training program wrote around it.

    Raises:
        ModelError: there is none.
    """
    import torch

    for _ in range(4):
        if not isinstance(content, Mapping):
            break
        tensors = {k: v for k, v in content.items() if isinstance(v, torch.Tensor)}
        inner = next((content[name] for name in WRAPPERS if _is_group(content.get(name))), None)
        if inner is None:
            if not tensors:
                break
            return _without_prefix({str(key): value for key, value in tensors.items()})
        content = inner
    raise ModelError(f"“{path.name}” holds no network weights.")


def load_exactly(network: nn.Module, state: Mapping[str, Tensor], title: str, source: str) -> None:
    """Fill a network from a state dict that fits it exactly.

    Args:
        network: what is filled. On the meta device it takes the tensors themselves over, so that
            gigabytes of weights are in memory once.
        state: tensors by key.
        title: what the network is called, for the message.
        source: what the weights are called, for the message.

    Raises:
        ModelError: a key is missing, superfluous or of another shape; nothing was loaded.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state]
    extra = [key for key in state if key not in wanted]
    other = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if missing or extra or other:
        raise ModelError(_mismatch(title, source, len(wanted), missing, extra, other))
    empty = any(value.is_meta for value in wanted.values())
    if empty:
        state = {key: value.to(wanted[key].dtype).contiguous() for key, value in state.items()}
    network.load_state_dict(dict(state), strict=True, assign=empty)


def _mismatch(
    title: str, source: str, count: int, missing: list[str], extra: list[str], other: list[str]
) -> str:
    fits = count - len(missing) - len(other)
    if not fits:
        head = f"“{source}” holds the weights of another network, not of {title}."
    else:
        head = f"“{source}” does not fit {title}: {fits} of its {count} entries fit."
    details = [
        f"{len(keys)} {text}, for example “{keys[0]}”"
        for keys, text in ((missing, "missing"), (extra, "unknown"), (other, "of another shape"))
        if keys
    ]
    return f"{head} {'; '.join(details).capitalize()}. Nothing was loaded."


def _is_group(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            return _without_prefix({key[len(prefix) :]: value for key, value in state.items()})
    return state


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"“{path.name}” is not a readable torch checkpoint; it may be cut off. "
        "Download or copy it again."
    )


class _Inert:
    """Stands for any object of a training checkpoint that is not a tensor; it does nothing."""

    def __init__(self, *arguments: object, **named: object) -> None:
        """Take anything."""

    def __setstate__(self, state: object) -> None:
        """Forget it."""

    def __setitem__(self, key: object, value: object) -> None:
        """Forget it."""

    def append(self, value: object) -> None:
        """Forget it."""

    def extend(self, values: object) -> None:
        """Forget it."""


class _TensorsOnly(pickle.Unpickler):
    """Builds tensors, dicts and plain values; every other class or function becomes `_Inert`."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Resolve only what rebuilding a tensor needs."""
        if (module_name, global_name) in _REBUILDERS:
            return super().find_class(module_name, global_name)
        return _Inert


def _read_without_objects(path: Path) -> object:
    """Read a training checkpoint whose configuration objects torch refuses to build."""
    import torch

    def refuse(*_: object, **__: object) -> Callable[..., object]:
        raise pickle.UnpicklingError("the old file format is read by weights_only alone")

    reader = SimpleNamespace(Unpickler=_TensorsOnly, load=refuse, __name__="tensors_only")
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path) from error
    except (AttributeError, TypeError, ImportError) as error:
        raise _damaged(path) from error
