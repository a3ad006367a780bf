"""Which runtime a graph gets, what happens when one fails, and what is said about it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models import onnx_decoder, onnx_session, openvino_runtime, processors, runtimes
from models.api import ModelError
from models.edgesam import graphs
from models.edgesam.segmenter import EdgeSamSegmenter
from models.embedding_cache import EmbeddingKey
from models.onnx_decoder import MANY, FoldedDecoder
from models.onnx_session import NotStarted, open_session
from models.processors import shared
from models.runtimes import Network, using
from models.segmenters.edgesam import SPECS
from tests.models import edgesam_fixture as fixture

onnx = pytest.importorskip("onnx", reason="makes graphs")

CUDA, COREML, CPU = "CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider"
needs_openvino = pytest.mark.skipif(
    openvino_runtime.lack() is not None, reason=str(openvino_runtime.lack())
)
PIXELS = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    """A convolution of (1, 3, 32, 32) to (1, 8, 32, 32)."""
    helper, numbers = onnx.helper, onnx.numpy_helper
    weights = np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["found"], pads=[1, 1, 1, 1])],
        "conv",
        [value("image", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [value("found", onnx.TensorProto.FLOAT, [1, 8, 32, 32])],
        [numbers.from_array(weights, "w")],
    )
    path = tmp_path_factory.mktemp("graph") / "conv.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(body, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.fixture
def truth(graph) -> np.ndarray:
    return open_session(graph).run(None, {"image": PIXELS})[0]


@pytest.fixture
def no_openvino(monkeypatch):
    monkeypatch.setattr(openvino_runtime, "lack", lambda: "OpenVINO is not installed")


class Graphics:
    """An onnxruntime that was built with providers, on a computer where they do this or that."""

    def __init__(self, monkeypatch, *names: str) -> None:
        import onnxruntime

        self._real = onnxruntime.InferenceSession
        self.opened: list[tuple[str, dict]] = []
        self.starts: Exception | None = None
        self.runs: Exception | None = None
        self.left_out = False
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, CPU])
        monkeypatch.setattr(onnxruntime, "InferenceSession", self.open)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None, raising=False)

    def open(self, path, options, providers, **more):
        if providers == [CPU]:
            return self._real(path, options, providers=providers)
        ((name, settings), last) = providers
        assert last == CPU
        assert more == {"enable_fallback": 0}, "onnxruntime must not fall back by itself"
        self.opened.append((name, settings))
        if self.starts is not None:
            raise self.starts
        session = self._real(path, options, providers=[CPU])
        used = [CPU] if self.left_out else [name, CPU]
        return SimpleNamespace(get_providers=lambda: used, run=self._running(session))

    def _running(self, session):
        def run(names, feeds):
            if self.runs is not None:
                raise self.runs
            return session.run(names, feeds)

        return run


def opened(graph: Path, device: runtimes.Device = "auto", *, lossy: bool = False) -> Network:
    with using(device):
        return Network(graph, lossy=lossy)


class TestGraphics:
    def test_it_comes_first_and_is_named(self, monkeypatch, graph, truth):
        graphics = Graphics(monkeypatch, COREML, CUDA)
        network = opened(graph, lossy=True)
        (found,) = network.run({"image": PIXELS})
        np.testing.assert_array_equal(found, truth)
        assert graphics.opened == [(CUDA, {"use_tf32": "0"})]
        assert network.device == "NVIDIA graphics processor (CUDA)."
        assert network.precision == ""

    def test_one_that_was_left_out_in_silence_is_noticed(self, monkeypatch, graph, no_openvino):
        graphics = Graphics(monkeypatch, CUDA)
        graphics.left_out = True
        network = opened(graph)
        network.run({"image": PIXELS})
        assert network.device.startswith("Processor, 32 bit (onnxruntime). NVIDIA")
        assert "failed: its libraries or its driver are missing" in network.device

    def test_a_provider_that_was_not_built_is_noticed(self, graph, no_openvino):
        with pytest.warns(UserWarning, match=CUDA), pytest.raises(NotStarted):
            onnx_session.open_on_graphics(CUDA, graph)

    def test_one_that_does_not_start_gives_way(self, monkeypatch, graph, truth):
        graphics = Graphics(monkeypatch, CUDA)
        graphics.starts = RuntimeError("CUDA driver version is insufficient\nmore\nlines")
        network = opened(graph)
        (found,) = network.run({"image": PIXELS})
        np.testing.assert_array_equal(found, truth)
        network.run({"image": PIXELS})
        assert len(graphics.opened) == 1, "it is not tried again"
        assert network.device.endswith("failed: CUDA driver version is insufficient.")

    def test_one_that_fails_later_gives_way(self, monkeypatch, graph, truth):
        from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

        graphics = Graphics(monkeypatch, CUDA)
        network = opened(graph)
        network.run({"image": PIXELS})
        assert network.device.startswith("NVIDIA")
        graphics.runs = RuntimeException("out of memory")
        (found,) = network.run({"image": PIXELS})
        np.testing.assert_array_equal(found, truth)
        assert network.device.endswith("failed: out of memory.")

    def test_the_setting_keeps_away_from_it(self, monkeypatch, graph):
        graphics = Graphics(monkeypatch, CUDA)
        network = opened(graph, "processor")
        network.run({"image": PIXELS})
        assert graphics.opened == []
        assert "Chosen in the settings" in network.device

    def test_one_that_rounds_is_only_for_what_may_be_rounded(self, monkeypatch, graph):
        Graphics(monkeypatch, COREML)
        assert opened(graph, lossy=False).precision == ""
        assert opened(graph, lossy=True).precision == "coreml"

    def test_without_any_that_is_said(self, monkeypatch, graph, no_openvino):
        Graphics(monkeypatch)
        text = opened(graph, lossy=True).device
        assert "No graphics processor: onnxruntime is installed without support" in text
        assert text.endswith("OpenVINO is not installed.")

    def test_errors_of_the_last_one_are_raised(self, graph):
        from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

        with pytest.raises(InvalidArgument):
            opened(graph, "exact").run({"image": PIXELS[:, :2]})


class TestFiles:
    def test_another_network_is_refused(self, graph):
        def check(session) -> None:
            assert session.get_inputs()[0].shape == [1, 3, 32, 32]
            raise ModelError("not this one")

        for device in ("auto", "exact"):
            with using(device):
                network = Network(graph, lossy=True, check=check)
            for _ in range(2):
                with pytest.raises(ModelError, match="not this one"):
                    network.run({"image": PIXELS})

    def test_a_damaged_file_is_named(self, tmp_path):
        path = tmp_path / "x.onnx"
        path.write_bytes(b"not a graph")
        with pytest.raises(ModelError, match=r"“x\.onnx” is not a readable ONNX graph"):
            opened(path, lossy=True).run({})


class TestOpenVino:
    def test_what_is_missing_is_said(self, monkeypatch):
        monkeypatch.setattr(openvino_runtime, "bfloat16_instructions", lambda: False)
        assert "does not compute with 16 bits" in (openvino_runtime.lack() or "")
        monkeypatch.setattr(openvino_runtime, "bfloat16_instructions", lambda: True)
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        assert "pip install 'annotator[openvino]'); it takes half" in openvino_runtime.lack()
        monkeypatch.setattr(openvino_runtime, "bfloat16_instructions", lambda: None)
        assert openvino_runtime.lack().endswith("'annotator[openvino]')")

    @needs_openvino
    def test_it_rounds_and_says_so(self, graph, truth):
        network = opened(graph, "processor", lossy=True)
        assert network.precision == "bf16"
        (found,) = network.run({"image": PIXELS})
        assert network.device.startswith("Processor, 16 bit (OpenVINO).")
        assert network.input_shape == [1, 3, 32, 32]
        np.testing.assert_allclose(found, truth, atol=0.1)
        assert np.abs(found - truth).max() > 1e-5

    @needs_openvino
    def test_exact_networks_do_without(self, graph, truth):
        for network in (opened(graph, "exact", lossy=True), opened(graph, lossy=False)):
            assert network.precision == ""
            np.testing.assert_array_equal(network.run({"image": PIXELS})[0], truth)

    @needs_openvino
    def test_one_that_does_not_start_gives_way(self, monkeypatch, graph, truth):
        def refuse(path: Path) -> None:
            raise NotStarted("no memory")

        monkeypatch.setattr(openvino_runtime, "OpenVinoSession", refuse)
        network = opened(graph, "processor", lossy=True)
        np.testing.assert_array_equal(network.run({"image": PIXELS})[0], truth)
        assert network.precision == ""
        assert "Processor, 16 bit (OpenVINO) failed: no memory" in network.device

    @needs_openvino
    @pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
    def test_a_thread_that_gives_way_gets_no_helpers(self, graph):
        threads = []

        def work() -> None:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
            compiled = openvino_runtime.compile_graph(graph)
            threads.append(compiled.get_property("INFERENCE_NUM_THREADS"))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert threads == [1]
        assert not processors.gives_way()

    @needs_openvino
    def test_compiled_graphs_are_kept(self, graph, private_home):
        openvino_runtime.compile_graph(graph)
        again = openvino_runtime.compile_graph(graph)
        assert again.get_property("LOADED_FROM_CACHE")
        folder = private_home / "XDG_CACHE_HOME" / "annotator" / "openvino"
        assert list(folder.glob("*.blob"))

    @needs_openvino
    def test_a_cache_that_cannot_be_written_is_done_without(self, graph, private_home):
        (private_home / "XDG_CACHE_HOME").write_text("a file")
        assert not openvino_runtime.compile_graph(graph).get_property("LOADED_FROM_CACHE")

    @needs_openvino
    def test_a_later_run_leaves_results_alone(self, graph):
        session = openvino_runtime.OpenVinoSession(graph)
        (first,) = session.run(None, {"image": PIXELS})
        kept = first.copy()
        (second,) = session.run(None, {"image": PIXELS / 2})
        np.testing.assert_array_equal(first, kept)
        assert not np.array_equal(first, second)

    @needs_openvino
    def test_nobody_is_told_that_it_is_used(self):
        code = (
            "import sys, threading; from models.openvino_runtime import lack; lack();"
            "assert 'openvino' in sys.modules; assert not sys.modules['openvino_telemetry'];"
            "assert threading.active_count() == 1"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All graphs of a narrow EdgeSAM whose masks are no mere noise."""
    torch = pytest.importorskip("torch")
    from models.networks.edgesam import narrow_edge_sam
    from models.networks.edgesam.export import export_all

    path = tmp_path_factory.mktemp("narrow")
    torch.manual_seed(0)
    export_all(narrow_edge_sam(3), path)
    return path


class TestPrecisionOfEdgeSam:
    @needs_openvino
    def test_fingerprints_differ(self, folder):
        keys = []
        for device in ("exact", "processor"):
            with using(device):
                segmenter = EdgeSamSegmenter(
                    SPECS[0], graphs.Graphs(folder / "encoder.onnx", folder, "abc")
                )
            keys.append(EmbeddingKey.of(segmenter, "content"))
        assert [key.fingerprint for key in keys] == ["abc", "abc-bf16"]

    @needs_openvino
    def test_embeddings_agree(self, folder):
        pixels = np.random.default_rng(3).integers(0, 256, (200, 300, 3), np.uint8)
        found = []
        for device in ("exact", "processor"):
            with using(device):
                one = EdgeSamSegmenter(
                    SPECS[0], graphs.Graphs(folder / "encoder.onnx", folder, "abc")
                )
            found.append(one.encode(pixels).arrays["image"].ravel())
        cosine = found[0] @ found[1] / np.linalg.norm(found[0]) / np.linalg.norm(found[1])
        assert 0.995 < cosine < 1 - 1e-9


class TestManyPrompts:
    @pytest.fixture
    def asked(self, folder):
        random = np.random.default_rng(0)
        count = 2 * MANY + 3
        corners = np.sort(random.uniform(0, 1000, (count, 2, 2)), axis=1).astype(np.float32)
        labels = np.tile(np.array([2, 3], np.float32), (count, 1))
        image = random.normal(size=(64, 64, 64)).astype(np.float32)
        arrays = {"image": image, **FoldedDecoder(folder).prepare(image)}
        return arrays, corners, labels, (0, 2), np.zeros((count, 64, 64), bool)

    @staticmethod
    def one_by_one(decoder: FoldedDecoder, asked) -> list:
        arrays, corners, labels, tokens, focus = asked
        return [
            decoder.decode(arrays, corners[n : n + 1], labels[n : n + 1], tokens, focus[:1])[0]
            for n in range(len(corners))
        ]

    def check_exact(self, decoder: FoldedDecoder, asked) -> None:
        for many, one in zip(decoder.decode(*asked), self.one_by_one(decoder, asked), strict=True):
            np.testing.assert_allclose(many[0], one[0], atol=1e-4)
            different = (many[0] > 0) != (one[0] > 0)
            assert np.abs(one[0][different]).max(initial=0) < 1e-5
            np.testing.assert_allclose(many[1], one[1], atol=1e-5)

    def test_exact_answers_are_those_of_single_prompts(self, folder, asked):
        self.check_exact(FoldedDecoder(folder), asked)

    @pytest.mark.parametrize("abreast", [1, 2])
    def test_a_few_are_exact_and_keep_their_order(self, folder, asked, abreast):
        arrays, corners, labels, tokens, focus = asked
        few = MANY - 1
        with using("auto"), shared(abreast):
            decoder = FoldedDecoder(folder)
        self.check_exact(decoder, (arrays, corners[:few], labels[:few], tokens, focus[:few]))

    def test_a_few_that_fail_are_not_asked_again(self, monkeypatch, folder, asked):
        tries = []

        def fail(*_: object, **__: object) -> None:
            tries.append(1)
            raise RuntimeError("lost")

        arrays, corners, labels, tokens, focus = asked
        decoder = FoldedDecoder(folder)
        monkeypatch.setattr(onnx_decoder.OnnxParts, "trunks", fail)
        with pytest.raises(RuntimeError, match="lost"):
            decoder.decode(arrays, corners[:1].repeat(2, 0), labels[:2], tokens, focus[:2])
        assert len(tries) <= 2

    @needs_openvino
    def test_rounded_answers_are_near_those_of_single_prompts(self, folder, asked):
        with using("processor"):
            decoder = FoldedDecoder(folder)
        equal = 0.0
        pairs = list(zip(decoder.decode(*asked), self.one_by_one(decoder, asked), strict=True))
        for many, one in pairs:
            assert many[0].shape == one[0].shape
            assert not np.array_equal(many[0], one[0])
            equal += np.mean((many[0] > 0) == (one[0] > 0)) / len(pairs)
        assert equal > 0.97

    @needs_openvino
    def test_rounded_answers_depend_on_no_other_prompt_and_no_thread(
        self, monkeypatch, folder, asked
    ):
        arrays, corners, labels, tokens, focus = asked
        with using("processor"):
            decoder = FoldedDecoder(folder)
        together = decoder.decode(*asked)
        monkeypatch.setattr(onnx_decoder, "thread_count", lambda: 3)
        split = MANY + 1
        apart = [
            answer
            for part in (slice(split), slice(split, None))
            for answer in decoder.decode(arrays, corners[part], labels[part], tokens, focus[part])
        ]
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])

    def test_without_openvino_they_are_exact(self, monkeypatch, folder, asked):
        def refuse(path: Path) -> None:
            raise NotStarted("no memory")

        monkeypatch.setattr(openvino_runtime, "lack", lambda: None)
        monkeypatch.setattr(onnx_decoder, "OpenVinoParts", refuse)
        with using("auto"):
            decoder = FoldedDecoder(folder)
        self.check_exact(decoder, asked)

    def test_openvino_that_fails_later_gives_way(self, monkeypatch, folder, asked):
        parts = SimpleNamespace(trunks=lambda *_, **__: (_ for _ in ()).throw(RuntimeError("lost")))
        monkeypatch.setattr(openvino_runtime, "lack", lambda: None)
        monkeypatch.setattr(onnx_decoder, "OpenVinoParts", lambda _: parts)
        with using("auto"):
            decoder = FoldedDecoder(folder)
        self.check_exact(decoder, asked)

    def test_a_damaged_embedding_is_refused(self, folder, asked):
        arrays, *rest = asked
        broken = {**arrays, "residual": np.full_like(arrays["residual"], np.nan)}
        with pytest.raises(ModelError, match="not numbers"):
            FoldedDecoder(folder).decode(broken, *rest)


def test_the_survey_starts_everything(monkeypatch, no_openvino):
    graphics = Graphics(monkeypatch, CUDA)
    graphics.left_out = True
    (first, last), notes = runtimes.survey()
    assert first.title == "NVIDIA graphics processor (CUDA)"
    assert first.problem == "its libraries or its driver are missing"
    assert (last.title, last.problem) == ("Processor, 32 bit (onnxruntime)", "")
    assert notes == ["OpenVINO is not installed"]


class TestTorch:
    @pytest.fixture
    def runtime(self):
        pytest.importorskip("torch")
        from models.sam_family import torch_runtime

        return torch_runtime

    def test_a_graphics_processor_that_cannot_compute(self, runtime, monkeypatch):
        def refuse(*_, **__) -> None:
            raise RuntimeError("no kernel image is available\nfor this device")

        monkeypatch.setattr(runtime.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(runtime.torch, "ones", refuse)
        with using("auto"):
            assert runtime.best_device().type == "cpu"
            text = runtime.device_text(runtime.best_device())
        expected = "The graphics processor failed: no kernel image is available."
        assert text == f"Processor, 32 bit (torch). {expected}"

    def test_one_that_can(self, runtime, monkeypatch):
        monkeypatch.setattr(runtime.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(runtime.torch.cuda, "get_device_name", lambda _: "H200")
        monkeypatch.setattr(
            runtime.torch, "ones", lambda *_, **__: SimpleNamespace(sum=lambda: np.float32(8))
        )
        with using("auto"):
            assert runtime.device_text(runtime.best_device()) == "H200 (torch, CUDA)."
        with using("processor"):
            assert runtime.best_device().type == "cpu"


@fixture.needs_fixture
@needs_openvino
@pytest.mark.slow
def test_masks_of_the_full_network_agree(tmp_path):
    """With the fixtures' weights: 99 % of mask bits and a cosine of 0.998."""
    import torch

    torch.save(
        {name: torch.from_numpy(value) for name, value in fixture.arrays().items()},
        tmp_path / "edge_sam.pth",
    )
    made = graphs.from_checkpoint(tmp_path / "edge_sam.pth", tmp_path / "cache")
    found = []
    for device in ("exact", "processor"):
        with using(device):
            found.append(EdgeSamSegmenter(SPECS[0], made).encode(fixture.image()))
    a, b = (one.arrays["image"].ravel() for one in found)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.998


@needs_openvino
@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack of Linux")
def test_the_stack_of_signals_outlives_compiled_graphs(folder):
    """OpenVINO frees it with its last core; then the next Ctrl+C is a crash."""
    program = (
        "import ctypes, gc, os, signal, sys\n"
        "from pathlib import Path\n"
        "from models.openvino_runtime import compile_graph\n"
        "def stack():\n"
        "    found = (ctypes.c_size_t * 3)()\n"
        "    ctypes.CDLL(None).sigaltstack(None, found)\n"
        "    return found[0]\n"
        "compiled = compile_graph(Path(sys.argv[1]))\n"
        "alive = stack()\n"
        "del compiled\n"
        "gc.collect()\n"
        "assert stack() == alive\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    os._exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "trunk.onnx")],
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 7
