"""The tensors inside a pickled network, without ever running what the pickle asks for.

ultralytics publishes whole Python objects, OpenAI's CLIP compiled programs (TorchScript). Reading
one the usual way imports and calls whatever the file names. Here nothing is imported: every class
and function becomes a `Ghost` that only remembers what it was given, and arrays are rebuilt from
the raw bytes by this module alone. Needs numpy, not torch.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.api import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

LARGEST_PICKLE: Final = 2**26
LARGEST_ARRAYS: Final = 2**31
DEEPEST: Final = 64
"""Modules inside modules; more is no network."""

_TYPES: Final[Mapping[str, str]] = {
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "CharStorage": "<i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class Ghost:
    """Stands for any object of the pickle; remembers its state and does nothing."""

    def __init__(self, *arguments: object, **named: object) -> None:
        """Take anything."""
        self.arguments = arguments
        self.state: dict[str, object] = {}

    def __new__(cls, *arguments: object, **named: object) -> Ghost:
        """Take anything; unpickling may skip `__init__`."""
        made = super().__new__(cls)
        made.arguments, made.state = arguments, {}
        return made

    def __setstate__(self, state: object) -> None:
        """Remember the attributes."""
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
            state = state[0]
        if isinstance(state, dict):
            self.state = {str(key): value for key, value in state.items()}

    def __call__(self, *arguments: object, **named: object) -> Ghost:
        """Pretend to be a function."""
        return Ghost(*arguments)

    def __setitem__(self, key: object, value: object) -> None:
        """Forget it."""

    def append(self, value: object) -> None:
        """Forget it."""

    def extend(self, values: object) -> None:
        """Forget it."""

    def add(self, value: object) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of storages, by its torch name."""

    code: str


def read_pickled_network(path: Path) -> dict[str, Array]:
    """Parameters and buffers of the network in a checkpoint, by their usual keys.

    Args:
        path: a file written by `torch.save` (its zip format) with a network under "ema" or
            "model", as ultralytics writes them.

    Raises:
        ModelError: missing, damaged, or without a network.
    """
    content = _read(path)
    if isinstance(content, Mapping):
        network = content.get("ema") or content.get("model")
    else:
        network = content
    found: dict[str, Array] = {}
    if isinstance(network, Ghost):
        _collect(network, "", found, 0)
    elif isinstance(network, Mapping):
        found = {str(key): value for key, value in network.items() if _is_array(value)}
    if not found:
        raise ModelError(f"“{path.name}” holds no network weights.")
    return found


def read_scripted_network(path: Path) -> dict[str, Array]:
    """Parameters and buffers of a TorchScript archive, by their usual keys; its code is not read.

    Args:
        path: a file written by `torch.jit.save`.

    Raises:
        ModelError: missing, damaged, or without a network.
    """
    found: dict[str, Array] = {}
    content = _read(path)
    if isinstance(content, Ghost):
        _collect_attributes(content, "", found, 0)
    if not found:
        raise ModelError(f"“{path.name}” holds no network weights.")
    return found


def _read(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive, path).read()
    except FileNotFoundError as error:
        raise ModelError(f"The weights “{path}” do not exist.") from error
    except (zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError) as error:
        raise _damaged(path) from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        # What a pickle that was tampered with can provoke in the unpickler.
        raise _damaged(path) from error


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"“{path.name}” is not a readable torch checkpoint; it may be cut off. "
        "Download or copy it again."
    )


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def _collect(module: Ghost, prefix: str, found: dict[str, Array], depth: int) -> None:
    """Walk a module as `state_dict` would."""
    if depth > DEEPEST:
        return
    hidden = module.state.get("_non_persistent_buffers_set")
    skipped = hidden if isinstance(hidden, set) else set()
    for group in ("_parameters", "_buffers"):
        members = module.state.get(group)
        for name, value in members.items() if isinstance(members, Mapping) else ():
            if isinstance(value, np.ndarray) and name not in skipped:
                found[f"{prefix}{name}"] = value
    children = module.state.get("_modules")
    for name, child in children.items() if isinstance(children, Mapping) else ():
        if isinstance(child, Ghost):
            _collect(child, f"{prefix}{name}.", found, depth + 1)


def _collect_attributes(module: Ghost, prefix: str, found: dict[str, Array], depth: int) -> None:
    """The same where arrays and modules are attributes, as in TorchScript."""
    if depth > DEEPEST:
        return
    for name, value in module.state.items():
        if isinstance(value, np.ndarray):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, Ghost):
            _collect_attributes(value, f"{prefix}{name}.", found, depth + 1)


class _Reader:
    """One archive of `torch.save`."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        self._storages: dict[str, Array] = {}
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise pickle.UnpicklingError("not written by torch.save")
        self._folder = names[0].removesuffix("data.pkl")
        if sum(member.file_size for member in archive.infolist()) > LARGEST_ARRAYS:
            raise ModelError(f"“{path.name}” is larger than any network of this kind.")

    def read(self) -> object:
        """The object, of ghosts, arrays and plain values."""
        member = self._archive.getinfo(f"{self._folder}data.pkl")
        if member.file_size > LARGEST_PICKLE:
            raise ModelError(f"“{self._path.name}” is not a checkpoint of a network.")
        return _Unpickler(self._archive.read(member), self._storage).load()

    def _storage(self, kind: object, key: object) -> Array:
        if not isinstance(kind, _Kind) or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage of unknown type")
        if key not in self._storages:
            raw = self._archive.read(f"{self._folder}data/{key}")
            self._storages[key] = np.frombuffer(raw, np.dtype(kind.code))
        return self._storages[key]


class _Unpickler(pickle.Unpickler):
    """Resolves nothing but arrays and plain containers."""

    def __init__(self, content: bytes, storage: Callable[[object, object], Array]) -> None:
        super().__init__(io.BytesIO(content))
        self._storage = storage

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a class or function: never the thing itself."""
        if module_name in ("torch", "torch.storage") and global_name in _TYPES:
            return _Kind(_TYPES[global_name])
        return _KNOWN.get((module_name, global_name), Ghost)

    def persistent_load(self, pid: Any) -> Array:
        """The raw values of a storage: ("storage", type, key, device, count)."""
        if not isinstance(pid, tuple) or len(pid) < 3 or pid[0] != "storage":
            raise pickle.UnpicklingError("an unknown reference")
        return self._storage(pid[1], pid[2])


def _array(
    storage: object, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> Array:
    """A tensor as an array of its own; whatever reaches outside its storage is refused."""
    if not isinstance(storage, np.ndarray) or len(shape) != len(strides):
        raise pickle.UnpicklingError("a tensor without storage")
    numbers = [offset, *shape, *strides]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise pickle.UnpicklingError("a tensor of impossible shape")
    if 0 in shape:
        return np.empty(shape, storage.dtype)
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    # Strides of 0 could make a small file fill the memory.
    if last >= storage.size or int(np.prod(shape, dtype=object)) > storage.size:
        raise pickle.UnpicklingError("a tensor outside its storage")
    steps = [step * storage.itemsize for step in strides]
    view: Array = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
    return view.copy()


def _first(value: object, *_: object) -> object:
    """A parameter is its values."""
    return value


def _tuple(values: object = ()) -> tuple[object, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else ()


def _set(values: object = ()) -> set[object]:
    return set(values) if isinstance(values, (tuple, list)) else set()


_KNOWN: Final[Mapping[tuple[str, str], Callable[..., object]]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _array,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch", "Size"): _tuple,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
}
