"""FastSAM: layout and arithmetic of the network, its files, and how prompts choose objects."""

from __future__ import annotations

import builtins
import collections
import os
import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, Embedding, ModelError, Point, Prompt
from models.networks.fastsam import (
    FAST_SAM_S,
    FAST_SAM_X,
    FastSam,
    YoloSizes,
    narrow_fast_sam,
    sizes_of,
)
from models.networks.fastsam.layers import Expectation, Pyramid, SplitBlock
from models.networks.fastsam.network import placed
from models.networks.folded import export_module
from models.pickled import read_pickled_network
from models.registry import segmenter_spec
from models.sam_family.fast import (
    FastSamSegmenter,
    Letterbox,
    find_objects,
    overlaps,
    usual_frame,
    without_duplicates,
)
from models.sam_family.fast_files import OnnxFastSam, TorchFastSam, load_network, open_runtime
from tests.models.family_truth import fill, layout, numbers, summary

CPU = torch.device("cpu")
SPEC = segmenter_spec("fastsam-s")


# --- The network ---


@pytest.mark.parametrize(
    ("sizes", "entries", "check_sum", "total"),
    [(FAST_SAM_S, 417, 1514144734, 11_790_483), (FAST_SAM_X, 657, 2808209428, 72_234_149)],
    ids=["s", "x"],
)
def test_layout_and_parameters_are_the_published_ones(sizes, entries, check_sum, total):
    with torch.device("meta"):
        net = FastSam(sizes)
    state = net.state_dict()
    assert len(state) == entries
    assert layout(state) == check_sum  # of ultralytics' own network
    assert sum(value.numel() for value in net.parameters()) == total
    assert sizes_of(state) == sizes


def filled_small() -> FastSam:
    net = fill(FastSam(FAST_SAM_S))
    net.model[22].dfl.conv.weight.data = torch.arange(16.0).reshape(1, 16, 1, 1)
    return net


def test_outputs_agree_with_the_original():
    with torch.no_grad():
        places, prototypes = filled_small()(numbers("photo", (1, 3, 96, 160)).sigmoid())
    assert places.shape == (1, 37, 12 * 20 + 6 * 10 + 3 * 5)
    assert prototypes.shape == (1, 32, 24, 40)
    expected = [12.19293, 2110.97622, -59.0001, -73.86093, -77.76605]
    assert summary(places) == pytest.approx(expected, rel=1e-4)
    expected = [-0.00105, 0.02037, -0.057386, -0.148023, 0.084398]
    assert summary(prototypes) == pytest.approx(expected, abs=1e-4)


def test_boxes_are_distances_from_cell_centres():
    distances = torch.zeros(1, 4, 2 * 4 + 1 * 2 + 1)
    distances[0, :, 5] = torch.tensor([1.5, 0.5, 2.5, 1.5])  # stride 8, row 1, column 1
    distances[0, :, 10] = torch.tensor([0.5, 0.5, 0.5, 0.5])  # stride 32
    boxes = placed(distances, [(2, 4), (1, 2), (1, 1)])[0]
    assert boxes[:, 5].tolist() == [8 * 2.0, 8 * 2.0, 8 * 4.0, 8 * 2.0]
    assert boxes[:, 10].tolist() == [16, 16, 32, 32]
    assert boxes[:, 9].tolist() == [24, 8, 0, 0]  # stride 16, column 1, no distance


def test_distances_are_expected_bins():
    scores = torch.full((1, 4 * 6, 1), -100.0)
    scores[0, [0, 6 + 3, 12 + 5, 18 + 1, 18 + 2], 0] = 100.0
    assert Expectation(6)(scores)[0, :, 0].tolist() == pytest.approx([0, 3, 5, 1.5])


def test_split_block_keeps_every_step():
    block = fill(SplitBlock(4, 6, 2, residual=True))
    x = numbers("map", (1, 4, 5, 5))
    first, second = block.cv1(x)[:, :3], block.cv1(x)[:, 3:]
    third = second + block.m[0].cv2(block.m[0].cv1(second))
    fourth = third + block.m[1].cv2(block.m[1].cv1(third))
    expected = block.cv2(torch.cat([first, second, third, fourth], dim=1))
    torch.testing.assert_close(block(x), expected)


def test_pyramid_takes_maxima_of_5_9_and_13():
    block = fill(Pyramid(4))
    x = numbers("map", (1, 4, 16, 16))
    small = block.cv1(x)
    pooled = [torch.nn.functional.max_pool2d(small, size, 1, size // 2) for size in (5, 9, 13)]
    torch.testing.assert_close(block(x), block.cv2(torch.cat([small, *pooled], dim=1)))


def test_other_networks_have_no_sizes():
    assert sizes_of({"image_encoder.pos_embed": torch.zeros(1)}) is None


# --- Objects ---


def test_overlap_is_intersection_over_union():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [10, 10, 11, 11]], np.float32)
    assert overlaps(boxes, boxes[0]).tolist() == pytest.approx([1, 4 / 28, 0])
    assert not overlaps(np.zeros((1, 4), np.float32), np.zeros(4, np.float32)).any()


def test_only_the_surest_of_equal_boxes_stays():
    boxes = np.array([[0, 0, 100, 100], [0, 0, 100, 91], [0, 0, 100, 89]], np.float32)
    assert without_duplicates(boxes) == [0, 2]


def test_objects_are_sure_sorted_and_have_corners():
    places = np.zeros((4 + 1 + 2, 4), np.float32)
    places[:4] = [[10, 30, 30, 50], [10, 30, 30, 50], [4, 8, 8, 6], [6, 8, 8, 2]]
    places[4] = [0.24, 0.6, 0.5, 0.9]
    places[5:] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    found = find_objects(places, np.zeros((2, 16, 16), np.float32))
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert found.boxes.tolist() == [[47, 49, 53, 51], [26, 26, 34, 34]]
    assert found.weights.tolist() == [[4, 8], [2, 6]]


# --- The frame ---


@pytest.mark.parametrize(
    ("size", "frame"),
    [((1200, 800), (704, 1024)), ((1000, 1000), (1024, 1024)), ((20, 4000), (1024, 32))],
)
def test_the_frame_is_the_smallest_that_holds_the_image(size, frame):
    assert usual_frame(*size) == frame


def test_the_image_is_centred_on_grey():
    image = np.full((80, 120, 3), (255, 0, 51), np.uint8)
    letterbox = Letterbox(120, 80, (64, 64))
    assert (letterbox.resized, letterbox.offset) == ((43, 64), (10, 0))
    pixels = letterbox.pixels(image)
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels[0, :, 10, 0] == pytest.approx([1, 0, 0.2])
    assert pixels[0, :, 9, 5] == pytest.approx([114 / 255] * 3)
    assert pixels[0, :, 53, 5] == pytest.approx([114 / 255] * 3)


def test_places_go_there_and_back():
    letterbox = Letterbox(120, 80, (64, 64))
    places = letterbox.to_frame(np.array([[0.0, 0.0], [120.0, 80.0]]))
    assert places.tolist() == [[0, 10], [64, 53]]
    box = letterbox.to_image(Box(0, 10, 64, 53))
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((0, 0, 120, 80))


# --- Prompts ---

PART, WHOLE, OTHER = Box(16, 16, 32, 32), Box(8, 8, 56, 56), Box(72, 8, 120, 56)


class Scene:
    """A runtime that finds three rectangles in a picture of 128 x 64: one inside another."""

    def __init__(self, boxes: tuple[Box, ...] = (WHOLE, PART, OTHER)) -> None:
        self.boxes = boxes

    def frame(self, width: int, height: int) -> tuple[int, int]:
        return 64, 128

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert pixels.shape == (1, 3, 64, 128)
        count = len(self.boxes)
        prototypes = np.full((count, 16, 32), -1, np.float32)
        places = np.zeros((5 + count, count), np.float32)
        for index, box in enumerate(self.boxes):
            y0, y1, x0, x1 = (int(v) // 4 for v in (box.y0, box.y1, box.x0, box.x1))
            prototypes[index, y0:y1, x0:x1] = 1
            middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            places[:4, index] = (*middle, box.width, box.height)
            places[4, index] = 0.9 - index / 10
            places[5 + index, index] = 5
        return places, prototypes


PICTURE = np.zeros((64, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter() -> FastSamSegmenter:
    return FastSamSegmenter(SPEC, Scene(), "scene")


@pytest.fixture(scope="module")
def embedding(segmenter) -> Embedding:
    return segmenter.encode(PICTURE)


def masks(segmenter, embedding, prompt) -> list[np.ndarray]:
    return [segmenter.render(embedding, one) for one in segmenter.decode(embedding, prompt)]


def rectangle(*boxes: Box) -> np.ndarray:
    mask = np.zeros((64, 128), np.bool_)
    for box in boxes:
        mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return mask


def close(mask: np.ndarray, expected: np.ndarray) -> bool:
    """Equal but for a pixel or two along the edge: the grid has cells of 4 pixels."""
    kernel = np.ones((5, 5), np.uint8)
    inner = cv2.erode(expected.astype(np.uint8), kernel) > 0
    outer = cv2.dilate(expected.astype(np.uint8), kernel) > 0
    return bool(mask[inner].all() and not mask[~outer].any())


def test_a_click_chooses_the_surest_object_there_then_the_others(segmenter, embedding):
    found = masks(segmenter, embedding, Prompt((Point(20, 20),)))
    assert len(found) == 2
    assert close(found[0], rectangle(WHOLE))
    assert close(found[1], rectangle(PART))
    scores = [one.score for one in segmenter.decode(embedding, Prompt((Point(20, 20),)))]
    assert scores == pytest.approx([0.9, 0.8])


def test_candidates_after_the_best_go_from_small_to_large():
    boxes = (PART, WHOLE, Box(12, 12, 44, 44))
    scene = FastSamSegmenter(SPEC, Scene(boxes), "")
    found = masks(scene, scene.encode(PICTURE), Prompt((Point(20, 20),)))
    assert [int(mask.sum()) for mask in found[1:]] == sorted(int(m.sum()) for m in found[1:])
    assert close(found[0], rectangle(PART))
    assert close(found[2], rectangle(WHOLE))


def test_a_click_outside_the_part_means_the_whole(segmenter, embedding):
    found = masks(segmenter, embedding, Prompt((Point(50, 50),)))
    assert len(found) == 1
    assert close(found[0], rectangle(WHOLE))


def test_a_negative_click_rules_objects_out(segmenter, embedding):
    prompt = Prompt((Point(20, 20), Point(50, 50, positive=False)))
    found = masks(segmenter, embedding, prompt)
    assert len(found) == 1
    assert close(found[0], rectangle(PART))


def test_a_negative_click_cuts_an_object_out_of_another(segmenter, embedding):
    prompt = Prompt((Point(50, 50), Point(20, 20, positive=False)))
    found = masks(segmenter, embedding, prompt)
    assert close(found[0], rectangle(WHOLE) & ~rectangle(PART))


def test_clicks_on_two_objects_join_them(segmenter, embedding):
    found = masks(segmenter, embedding, Prompt((Point(50, 50), Point(100, 30))))
    assert len(found) == 1
    assert close(found[0], rectangle(WHOLE, OTHER))


def test_a_box_chooses_the_mask_that_fills_it(segmenter, embedding):
    for box in (PART, WHOLE, OTHER):
        prompt = Prompt(box=Box(box.x0 - 2, box.y0 - 2, box.x1 + 3, box.y1 + 1))
        assert close(masks(segmenter, embedding, prompt)[0], rectangle(box))


def test_clicks_go_before_the_overlap_with_a_box(segmenter, embedding):
    prompt = Prompt((Point(50, 50, positive=False), Point(20, 20)), WHOLE)
    assert close(masks(segmenter, embedding, prompt)[0], rectangle(PART))


def test_where_nothing_was_found_the_answer_is_empty(segmenter, embedding):
    for prompt in (Prompt((Point(64, 60),)), Prompt(box=Box(58, 1, 70, 60))):
        (only,) = segmenter.decode(embedding, prompt)
        assert only.score == 0
        assert not segmenter.render(embedding, only).any()
    nothing = FastSamSegmenter(SPEC, Scene(()), "")
    (only,) = nothing.decode(nothing.encode(PICTURE), Prompt((Point(1, 1),)))
    assert not nothing.render(nothing.encode(PICTURE), only).any()
    assert segmenter.decode(embedding, Prompt((Point(1, 1, positive=False),))) == ()


def test_prompts_out_of_the_ordinary_mean_something(segmenter, embedding):
    swapped = masks(segmenter, embedding, Prompt(box=Box(56, 56, 8, 8)))
    assert close(swapped[0], rectangle(WHOLE))
    point = masks(segmenter, embedding, Prompt(box=Box(50, 50, 50, 50)))
    assert close(point[0], rectangle(WHOLE))
    assert len(segmenter.decode(embedding, Prompt((Point(-99, 1e9),)))) == 1


def test_candidates_cover_only_their_object(segmenter, embedding):
    (found,) = segmenter.decode(embedding, Prompt((Point(100, 30),)))
    assert found.logits.shape == (14, 14)
    assert found.extent == Box(68, 4, 124, 60)


def test_masks_land_where_the_image_is_in_the_frame():
    scene = FastSamSegmenter(SPEC, Scene((Box(48, 16, 80, 48),)), "")
    image = np.zeros((320, 320, 3), np.uint8)  # 64 x 64 in the frame, 32 columns of grey left
    embedding = scene.encode(image)
    (mask,) = masks(scene, embedding, Prompt((Point(160, 160),)))
    rows, columns = np.nonzero(mask)
    assert mask.shape == (320, 320)
    assert [rows.min(), rows.max(), columns.min(), columns.max()] == pytest.approx(
        [80, 239, 80, 239], abs=10
    )


def test_damaged_embeddings_are_named(segmenter, embedding):
    arrays = {**embedding.arrays, "prototypes": embedding.arrays["prototypes"] * np.nan}
    with pytest.raises(ModelError, match="not numbers"):
        segmenter.decode(Embedding(SPEC.id, 128, 64, arrays), Prompt((Point(1, 1),)))


# --- Files ---


@pytest.fixture(scope="module")
def network() -> FastSam:
    return fill(narrow_fast_sam())


IMAGE = numbers("photo", (1, 3, 64, 96)).sigmoid()


def test_a_network_finds_something_in_a_picture(network):
    segmenter = FastSamSegmenter(SPEC, TorchFastSam(network, CPU), "narrow")
    picture = np.random.default_rng(2).integers(0, 256, (40, 300, 3), np.uint8)
    embedding = segmenter.encode(picture)
    assert embedding.arrays["prototypes"].shape == (4, 160 // 4, 1024 // 4)
    candidates = segmenter.decode(embedding, Prompt(box=Box(0, 0, 300, 40)))
    assert segmenter.render(embedding, candidates[0]).shape == (40, 300)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_state_dicts_are_read(tmp_path, network, prefix, suffix):
    from safetensors.torch import save_file

    file = tmp_path / f"FastSAM-s{suffix}"
    state = {
        f"{prefix}{name.removeprefix('model.')}": value.clone()
        for name, value in network.state_dict().items()
    }
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    torch.testing.assert_close(load_network(file, "FastSAM-s")(IMAGE), network(IMAGE))


def test_an_onnx_export_is_recognised_and_agrees(tmp_path, network):
    file = tmp_path / "anything.onnx"
    export_module(network, (IMAGE,), file, ("images",), ("output0", "output1"))
    runtime = open_runtime(file, "FastSAM-s")
    assert isinstance(runtime, OnnxFastSam)
    assert runtime.frame(999, 7) == (64, 96)
    places, prototypes = runtime.run(IMAGE.numpy())
    expected = network(IMAGE)
    np.testing.assert_allclose(places, expected[0][0].detach(), atol=5e-4, rtol=1e-4)
    np.testing.assert_allclose(prototypes, expected[1][0].detach(), atol=5e-4)


def test_other_graphs_are_refused(tmp_path, network):
    file = tmp_path / "FastSAM-s.onnx"
    export_module(network.model[0], (IMAGE,), file, ("images",), ("output0",))
    with pytest.raises(ModelError, match=r"FastSAM-s\.onnx.*not an ONNX export.*output0"):
        open_runtime(file, "FastSAM-s")
    many = fill(FastSam(YoloSizes((8, 8, 16, 16, 32), (1, 1, 1, 1, 1), 8, classes=3)))
    export_module(many, (IMAGE,), file, ("images",), ("output0", "output1"))
    with pytest.raises(ModelError, match="one class"):
        open_runtime(file, "FastSAM-s")
    file.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cut off"):
        open_runtime(file, "FastSAM-s")


class Pickled(torch.nn.Module):
    """Stands for a class of ultralytics: whole objects of it are in the published files."""

    def __init__(self, network: FastSam) -> None:
        super().__init__()
        self.model = network.model
        self.names = {0: "object"}
        self.where = Path("/somewhere")
        self.register_buffer("scratch", torch.ones(3), persistent=False)


def published(network: FastSam, file: Path, name: str = "model") -> Path:
    content = {"epoch": -1, "ema": None, "model": None, "train_args": {"imgsz": 1024}}
    torch.save({**content, name: Pickled(network).half()}, file)
    network.float()
    return file


@pytest.mark.parametrize("name", ["model", "ema"])
def test_a_published_pickle_is_read(tmp_path, network, name):
    file = published(fill(narrow_fast_sam()), tmp_path / "FastSAM-s.pt", name)
    found = read_pickled_network(file)
    assert set(found) == set(network.state_dict())
    loaded = load_network(file, "FastSAM-s")
    assert not loaded.training
    torch.testing.assert_close(loaded(IMAGE)[1], network(IMAGE)[1], rtol=0, atol=2e-2)


def test_a_parameter_that_is_a_view_is_read(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    module = torch.nn.Module()
    module.register_buffer("turned", base.T[1:5:2, 1:])
    torch.save({"model": module}, tmp_path / "view.pt")
    found = read_pickled_network(tmp_path / "view.pt")
    np.testing.assert_array_equal(found["turned"], base.T[1:5:2, 1:])


class Attack:
    """Calls something when unpickled in the usual way."""

    def __init__(self, function, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_reading_a_pickle_runs_nothing(tmp_path, network):
    mark = tmp_path / "executed"
    attacks = [
        Attack(os.system, f"touch {mark}"),
        Attack(builtins.exec, f"open({str(mark)!r}, 'w')"),
        Attack(eval, f"open({str(mark)!r}, 'w')"),
        Attack(open, str(mark), "w"),
    ]
    content = {"model": Pickled(fill(narrow_fast_sam())), "callbacks": attacks}
    torch.save(content, tmp_path / "evil.pt")
    assert set(read_pickled_network(tmp_path / "evil.pt")) == set(network.state_dict())
    assert not mark.exists()
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert mark.exists()  # the usual way does run it


def rewritten(source: Path, target: Path, change) -> Path:
    """Copy an archive, passing the content of every member through `change(name, bytes)`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


class Reaching:
    """A tensor that claims to be larger than its storage."""

    def __init__(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.claim = offset, shape, strides

    def __reduce__(self):
        storage = torch.ones(4).untyped_storage()
        typed = torch.storage.TypedStorage(
            wrap_storage=storage, dtype=torch.float32, _internal=True
        )
        empty = collections.OrderedDict()
        return torch._utils._rebuild_tensor_v2, (typed, *self.claim, False, empty)


@pytest.mark.parametrize(
    "claim", [(0, (5,), (1,)), (2, (3,), (1,)), (-1, (2,), (1,)), (0, (10**9,), (0,))]
)
def test_tensors_outside_their_storage_are_refused(tmp_path, claim):
    torch.save({"model": {"weight": Reaching(*claim)}}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"x\.pt.*not a readable"):
        read_pickled_network(tmp_path / "x.pt")


def test_tensors_inside_their_storage_are_read(tmp_path):
    torch.save({"model": {"weight": Reaching(1, (3,), (1,))}}, tmp_path / "x.pt")
    assert read_pickled_network(tmp_path / "x.pt")["weight"].tolist() == [1, 1, 1]


def test_damaged_files_are_refused_by_name(tmp_path, network):
    file = published(fill(narrow_fast_sam()), tmp_path / "FastSAM-s.pt")
    half = tmp_path / "half.pt"
    half.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"half\.pt.*cut off"):
        load_network(half, "FastSAM-s")
    with pytest.raises(ModelError, match="do not exist"):
        load_network(tmp_path / "none.pt", "FastSAM-s")
    torch.save({"model": None, "epoch": 3}, half)
    with pytest.raises(ModelError, match=r"half\.pt.*no network"):
        load_network(half, "FastSAM-s")
    short = rewritten(file, half, lambda name, b: b[: len(b) // 2] if "/data/" in name else b)
    with pytest.raises(ModelError, match=r"half\.pt.*not a readable"):
        load_network(short, "FastSAM-s")
    broken = rewritten(file, half, lambda name, b: pickle.dumps(3)[:-1] if "pkl" in name else b)
    with pytest.raises(ModelError, match=r"half\.pt.*not a readable"):
        load_network(broken, "FastSAM-s")


def test_other_networks_are_refused_by_name(tmp_path):
    file = tmp_path / "FastSAM-x.pt"
    torch.save({"model": torch.nn.Linear(2, 2)}, file)
    with pytest.raises(ModelError, match=r"FastSAM-x\.pt.*another network, not of FastSAM-x"):
        load_network(file, "FastSAM-x")
    many = fill(FastSam(YoloSizes((8, 8, 16, 16, 32), (1, 1, 1, 1, 1), 8, classes=80)))
    published(many, file)
    with pytest.raises(ModelError, match="80 classes"):
        load_network(file, "FastSAM-x")


@pytest.mark.parametrize("kind", ["s", "x"])
def test_a_missing_file_is_named(kind):
    spec = segmenter_spec(f"fastsam-{kind}")
    assert f"FastSAM-{kind}.pt" in (spec.available() or "")
    with pytest.raises(ModelError, match=f"annotator models get fastsam-{kind}"):
        spec.load()


def test_an_export_beside_the_missing_pickle_is_used(tmp_path, network, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    frame = torch.zeros(1, 3, 64, 64)
    export_module(network, (frame,), tmp_path / "FastSAM-s.onnx", ("images",), ("a", "b"))
    assert SPEC.available() is None
    segmenter = SPEC.load()
    embedding = segmenter.encode(PICTURE)
    assert embedding.arrays["prototypes"].shape == (4, 16, 16)
    assert len(segmenter.fingerprint) == 16
