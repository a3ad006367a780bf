"""Which runtime a graph gets on this computer, and which one it really has: decided here alone.

A graphics processor through onnxruntime comes first, then OpenVINO with 16-bit numbers where the
processor computes with them, then onnxruntime on the processor, which works everywhere and is
exact. What does not start is left out, and the reason is kept for people.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from models import openvino_runtime
from models.onnx_session import (
    GRAPHICS,
    Session,
    failures,
    graphics_providers,
    open_on_graphics,
    open_session,
)
from models.processors import shared, sharers, thread_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Device = Literal["auto", "processor", "exact"]
"""What may be used: the fastest there is; no graphics processor; nor numbers of 16 bits."""

Check: TypeAlias = Callable[[Session], None]
"""Raises a `ModelError` for a graph that is another network."""

_DEVICE: ContextVar[Device] = ContextVar("device", default="auto")
_ABREAST: ContextVar[int] = ContextVar("abreast", default=1)


@contextmanager
def using(device: Device, abreast: int = 1) -> Iterator[None]:
    """Models that are loaded inside may use this; they keep to it afterwards.

    Args:
        device: what may be used.
        abreast: how many images are to be encoded at once. More images are done then in the same
            time, since threads that work on one image wait for each other, but each takes longer.
    """
    tokens = _DEVICE.set(device), _ABREAST.set(min(abreast, thread_count()))
    try:
        yield
    finally:
        _DEVICE.reset(tokens[0])
        _ABREAST.reset(tokens[1])


def preferred() -> Device:
    """What a model that is being loaded may use."""
    return _DEVICE.get()


def preferred_abreast() -> int:
    """How many images a model that is being loaded is to encode at once."""
    return _ABREAST.get()


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run a graph.

    Attributes:
        title: what people read.
        open: makes a session of a file.
        precision: "" when it computes with 32 bits, else a word for fingerprints.
    """

    title: str
    open: Callable[[Path], Session]
    precision: str = ""


PLAIN = Runtime("Processor, 32 bit (onnxruntime)", open_session)


def choose(device: Device, *, lossy: bool) -> tuple[list[Runtime], list[str]]:
    """Ways to run a graph, the fastest first and `PLAIN` last, and why there are not more.

    Args:
        device: what may be used.
        lossy: whether numbers of 16 bits are good enough.
    """
    found, notes = [], []
    if device == "auto":
        for name in graphics_providers():
            provider = GRAPHICS[name]
            if lossy or not provider.precision:
                found.append(Runtime(provider.title, _on_graphics(name), provider.precision))
        if not found:
            notes.append("no graphics processor: onnxruntime is installed without support for one")
    else:
        notes.append("chosen in the settings")
    if lossy and device != "exact":
        lack = openvino_runtime.lack()
        if lack is None:
            open_it = openvino_runtime.OpenVinoSession
            found.append(Runtime(openvino_runtime.TITLE, open_it, openvino_runtime.PRECISION))
        else:
            notes.append(lack)
    return [*found, PLAIN], notes


def _on_graphics(name: str) -> Callable[[Path], Session]:
    return lambda path: open_on_graphics(name, path)


class Network:
    """A graph that the fastest runtime that can runs; for all threads.

    It is opened by its first use. A runtime that fails then, or later, gives way to the next one.

    Args:
        path: the graph.
        lossy: whether numbers of 16 bits are good enough for it.
        check: refuses a graph that is another network.
    """

    def __init__(self, path: Path, *, lossy: bool = False, check: Check | None = None) -> None:
        self._path = path
        self._check = check
        self._runtimes, self._notes = choose(preferred(), lossy=lossy)
        self._sharers = sharers()
        self._session: Session | None = None
        self._lock = threading.Lock()

    @property
    def precision(self) -> str:
        """Empty for 32 bits, else how numbers are rounded: part of the key of cached embeddings."""
        return self._runtimes[0].precision

    @property
    def device(self) -> str:
        """Where it runs, or will run, and why not elsewhere; sentences for people."""
        with self._lock:
            return described(self._runtimes[0].title, self._notes)

    @property
    def input_name(self) -> str:
        """Of the first input.

        Raises:
            ModelError: see `run`.
        """
        return str(self._opened()[1].get_inputs()[0].name)

    @property
    def input_shape(self) -> list[int | str]:
        """Of the first input; what may vary has a name.

        Raises:
            ModelError: see `run`.
        """
        return list(self._opened()[1].get_inputs()[0].shape)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """All results, in the order of the graph.

        Raises:
            ModelError: the graph cannot be read or is another network.
        """
        while True:
            runtime, session = self._opened()
            try:
                return list(session.run(None, dict(feeds)))
            except failures() as error:
                if runtime is PLAIN:
                    raise
                self._give_up(runtime, error)

    def _opened(self) -> tuple[Runtime, Session]:
        with self._lock:
            while self._session is None:
                runtime = self._runtimes[0]
                try:
                    with shared(self._sharers):
                        session = runtime.open(self._path)
                except failures() as error:
                    if runtime is PLAIN:
                        raise
                    self._leave_out(runtime, error)
                    continue
                if self._check is not None:
                    self._check(session)
                self._session = session
            return self._runtimes[0], self._session

    def _give_up(self, runtime: Runtime, error: Exception) -> None:
        with self._lock:
            if self._runtimes[0] is runtime:
                self._session = None
                self._leave_out(runtime, error)

    def _leave_out(self, runtime: Runtime, error: Exception) -> None:
        self._runtimes.pop(0)
        self._notes.append(f"{runtime.title} failed: {first_line(error)}")


@dataclass(frozen=True, slots=True)
class Tried:
    """A runtime that was started.

    Attributes:
        title: what people read.
        problem: why it does not work, "" when it does.
    """

    title: str
    problem: str


def survey() -> tuple[list[Tried], list[str]]:
    """Start every runtime with a tiny graph, the fastest first.

    Returns:
        What came of it, and why there are not more.
    """
    runtimes, notes = choose("auto", lossy=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.onnx"
        _write_tiny(path)
        return [Tried(runtime.title, _problem(runtime, path)) for runtime in runtimes], notes


def _problem(runtime: Runtime, path: Path) -> str:
    import numpy as np

    ones = np.ones((4, 4), np.float32)
    try:
        (found,) = runtime.open(path).run(None, {"x": ones})
    except failures() as error:
        return first_line(error)
    return "" if np.allclose(found, 4) else "it computes wrong numbers"


def _write_tiny(path: Path) -> None:
    """The square of a matrix."""
    from onnx import TensorProto, helper, save

    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "x"], ["y"])], "tiny", [shape], [result]
    )
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def precise(fingerprint: str, precision: str) -> str:
    """A fingerprint that says how many bits were computed with, where it is not 32."""
    return f"{fingerprint}-{precision}" if precision else fingerprint


def described(title: str, notes: Sequence[str]) -> str:
    """Where something runs, and why not elsewhere, as sentences."""
    return ". ".join(text[0].upper() + text[1:].rstrip(".") for text in (title, *notes)) + "."


def first_line(error: Exception) -> str:
    """What an error says, in short."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
