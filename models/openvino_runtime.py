"""OpenVINO, where it is installed and the processor computes with 16-bit numbers (bfloat16).

With 32 bits it is as fast as onnxruntime, so it is used for bfloat16 alone: half the time for an
encoder, two thirds for a batch of prompts.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.onnx_session import NotStarted
from models.processors import gives_way, sharers, thread_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLE = "Processor, 16 bit (OpenVINO)"
PRECISION = "bf16"
FLAGS = ("avx512_bf16", "amx_bf16")
"""Instructions of x86 processors, as Linux names them."""


def lack() -> str | None:
    """None when it can be used, else what is missing."""
    if bfloat16_instructions() is False:
        return "this processor does not compute with 16 bits"
    if importlib.util.find_spec("openvino") is None:
        hint = "OpenVINO is not installed (pip install 'annotator[openvino]')"
        return f"{hint}; it takes half the time" if bfloat16_instructions() else hint
    return _refused()


@functools.cache
def bfloat16_instructions() -> bool | None:
    """Whether the processor has bfloat16 instructions; None where only OpenVINO can tell."""
    if sys.platform != "linux":
        return None
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = [line for line in text.splitlines() if line.startswith("flags")]
    return any(flag in found[0].split() for flag in FLAGS) if found else None


@functools.cache
def library() -> Any:
    """The module openvino.

    Importing it would tell Intel so over the network, without asking anybody; it goes without the
    package that does that.

    Raises:
        ImportError: it is not installed, or damaged.
    """
    # Python's way of saying that there is no such module.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


@functools.cache
def _core() -> Any:
    """The one core of this process, kept for ever.

    When the last one goes, OpenVINO 2026.4 frees the stack that signals of its thread run on and
    leaves it registered: the next Ctrl+C would end the program with a segmentation fault.

    Raises:
        ImportError: it is not installed, or damaged.
        RuntimeError: it does not start.
    """
    return library().Core()


@functools.cache
def _refused() -> str | None:
    try:
        able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except (ImportError, RuntimeError) as error:
        return f"OpenVINO does not start: {error}"
    return None if "BF16" in able else "this processor does not compute with 16 bits"


def compile_graph(path: Path, kept: Sequence[str] = (), *, side_by_side: bool = False) -> Any:
    """A graph made ready for this processor; the second time it comes from a cache.

    A thread that gives way gets no helpers: OpenVINO's threads belong to the whole program, so
    the helpers would have the priority of whoever needed them first.

    Args:
        path: an ONNX file.
        kept: arguments and results that stay in 16 bits between graphs.
        side_by_side: as many runs at once as there are threads, instead of all threads for a run.

    Raises:
        NotStarted: OpenVINO cannot read or run the graph.
    """
    openvino = library()
    threads = 1 if gives_way() else thread_count()
    streams = threads if side_by_side else sharers()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": threads,
    }
    # The hint also chooses the fast ones of unequal cores.
    settings |= {"NUM_STREAMS": streams} if streams > 1 else {"PERFORMANCE_HINT": "LATENCY"}
    folder = _cache_folder()
    if folder is not None:
        settings["CACHE_DIR"] = str(folder)
    try:
        core = _core()
        model = core.read_model(str(path))
        if kept:
            model = _keeping(model, kept)
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise NotStarted(str(error)) from error
    if compiled.get_property("INFERENCE_PRECISION_HINT") != openvino.Type.bf16:
        raise NotStarted("it computes with 32 bits")
    return compiled


def _keeping(model: Any, names: Sequence[str]) -> Any:
    """The model with these in- and outputs in bfloat16: converting them costs a fifth."""
    openvino = library()
    steps = openvino.preprocess.PrePostProcessor(model)
    for ports, step in ((model.inputs, steps.input), (model.outputs, steps.output)):
        for port in ports:
            if port.any_name in names:
                step(port.any_name).tensor().set_element_type(openvino.Type.bf16)
    return steps.build()


def _cache_folder() -> Path | None:
    """Where compiled graphs are kept; None when it cannot be made."""
    from platformdirs import user_cache_dir

    folder = Path(user_cache_dir("annotator")) / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


class Requests:
    """What runs a compiled graph; for all threads.

    Requests are kept: making one waits until another run ends.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._free: deque[Any] = deque()

    @contextmanager
    def one(self) -> Iterator[Any]:
        """A request that nobody else uses meanwhile."""
        try:
            request = self._free.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        yield request
        # After a failure it is not used again.
        self._free.append(request)


class OpenVinoSession:
    """A graph with the interface of an onnxruntime session; for all threads.

    Raises:
        NotStarted: see `compile_graph`.
    """

    def __init__(self, path: Path) -> None:
        self._compiled = compile_graph(path)
        self._requests = Requests(self._compiled)

    def run(
        self, names: None, feeds: Mapping[str, NDArray[np.generic]]
    ) -> list[NDArray[np.generic]]:
        """All results."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        with self._requests.one() as request:
            found = request.infer(contiguous, share_inputs=True)
        return [found[port] for port in self._compiled.outputs]

    def get_inputs(self) -> list[SimpleNamespace]:
        """Names, shapes and types, as onnxruntime gives them."""
        return [_port(port) for port in self._compiled.inputs]

    def get_outputs(self) -> list[SimpleNamespace]:
        """Names, shapes and types, as onnxruntime gives them."""
        return [_port(port) for port in self._compiled.outputs]


def _port(port: Any) -> SimpleNamespace:
    shape = [
        size.get_length() if size.is_static else str(size) for size in port.get_partial_shape()
    ]
    kind = {"f32": "float", "i64": "int64"}.get(port.get_element_type().get_type_name(), "other")
    return SimpleNamespace(name=port.any_name, shape=shape, type=f"tensor({kind})")
