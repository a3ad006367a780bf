"""Sessions of onnxruntime: on the processor, or on a graphics processor for certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from models.api import ModelError
from models.processors import division, threads_each

Session: TypeAlias = Any
"""An onnxruntime.InferenceSession, or what has its `run`, `get_inputs` and `get_outputs`."""


AWAKE_US = 100
"""How long helpers of a short run wait for its next step before they sleep."""
TIMED_SPINNING = (1, 28)
"""Since this version of onnxruntime they do so by the clock; before, for a twentieth second."""


class NotStarted(RuntimeError):
    """A runtime cannot run here; the text says why."""


def open_session(
    source: Path | bytes, *, arena: bool = False, threads: int | None = None, short: bool = False
) -> Session:
    """An onnxruntime session on the processor, for a desktop program.

    Threads do not spin, but for moments in short runs, because other sessions and the GUI need the
    cores (spinning made a hover three times slower under load). The arena is off unless asked for:
    it keeps the peak of the encoder for ever, but spares a decoder, called often, the page faults
    of large buffers.

    Args:
        source: the file, or its content.
        arena: keep memory between runs.
        threads: for one run, by default `models.processors.threads_each`.
        short: somebody waits for every run, and makes it `models.processors.apart`.

    Raises:
        ModelError: the file is missing, damaged or not an ONNX graph.
    """
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    from onnxruntime.capi import (  # type: ignore[import-untyped]
        onnxruntime_pybind11_state as states,
    )

    threads = threads or threads_each()
    options = _hurrying(threads - 1) if short and threads > 1 else _options()
    options.enable_cpu_mem_arena = arena
    options.intra_op_num_threads = threads
    name = source.name if isinstance(source, Path) else "graph"
    try:
        return InferenceSession(
            str(source) if isinstance(source, Path) else source,
            options,
            providers=["CPUExecutionProvider"],
        )
    except (states.NoSuchFile, FileNotFoundError) as error:
        raise ModelError(f"The graph “{name}” does not exist.") from error
    except (states.InvalidProtobuf, states.InvalidGraph, states.Fail) as error:
        raise ModelError(f"“{name}” is not a readable ONNX graph; it may be cut off.") from error


def _hurrying(helpers: int) -> Any:
    """Let the helpers of a run wait awake for the next step of it, each on a processor of its own.

    A run has some forty steps for all threads, and waking somebody takes as long as many of them.
    """
    import onnxruntime

    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    options = _options(awake_us=AWAKE_US if version >= TIMED_SPINNING else 0)
    parts = division()
    if parts is not None:
        # Numbers from 1; one group for each helper.
        group = ",".join(str(number + 1) for number in sorted(parts.helping))
        options.add_session_config_entry(
            "session.intra_op_thread_affinities", ";".join([group] * helpers)
        )
    return options


def _options(awake_us: int = 0) -> Any:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(awake_us > 0)))
    if awake_us:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(awake_us))
    options.log_severity_level = 3
    return options


@dataclass(frozen=True, slots=True)
class Provider:
    """How onnxruntime reaches a graphics processor.

    Attributes:
        title: what people read.
        options: for onnxruntime.
        precision: "" when it computes with 32 bits, else a word for fingerprints.
    """

    title: str
    options: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""


GRAPHICS: Mapping[str, Provider] = MappingProxyType(
    {
        # TF32 would keep 10 bits of each factor.
        "CUDAExecutionProvider": Provider("NVIDIA graphics processor (CUDA)", {"use_tf32": "0"}),
        "DmlExecutionProvider": Provider("graphics processor (DirectML)"),
        "CoreMLExecutionProvider": Provider(
            "Apple graphics processor (CoreML)", {"ModelFormat": "MLProgram"}, "coreml"
        ),
        "OpenVINOExecutionProvider": Provider(
            "Intel graphics processor (OpenVINO)", {"device_type": "GPU"}, "openvino"
        ),
    }
)
"""Providers by onnxruntime's names, the best first."""


def graphics_providers() -> list[str]:
    """Those of `GRAPHICS` that the installed onnxruntime was built with."""
    from onnxruntime import get_available_providers

    available = set(get_available_providers())
    return [name for name in GRAPHICS if name in available]


def open_on_graphics(name: str, path: Path) -> Session:
    """A session that really uses a provider of `GRAPHICS`.

    Raises:
        NotStarted: onnxruntime left it out.
        Exception: one of `failures`: the provider does not start or does not take the graph.
    """
    import onnxruntime

    if name.startswith("CUDA") and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls(msvc=False)  # CUDA's libraries lie in torch's packages
    options = _options()
    if name.startswith("Dml"):
        options.enable_mem_pattern = False  # DirectML demands it
    session = onnxruntime.InferenceSession(
        str(path),
        options,
        providers=[(name, dict(GRAPHICS[name].options)), "CPUExecutionProvider"],
        enable_fallback=0,  # it would go on in silence
    )
    # A provider whose libraries are missing is only left out.
    if name not in session.get_providers():
        raise NotStarted("its libraries or its driver are missing")
    return session


def failures() -> tuple[type[Exception], ...]:
    """What runtimes raise when they cannot do something, other than for a bad file or input."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    names = ("EPFail", "EngineError", "Fail", "NotImplemented", "RuntimeException")
    known = (getattr(states, name, None) for name in names)
    return (RuntimeError, ValueError, *(kind for kind in known if kind is not None))
