"""Loupe: windows, the network, its graphs in onnxruntime, and the segmenter around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, Embedding, ModelError, Point, Prompt
from models.loupe import windows as geometry
from models.loupe.segmenter import LoupeSegmenter, Resized
from models.networks.loupe import Loupe, LoupeConfig, Questions, sample
from models.segmenters.loupe import SPEC
from models.training.export import export

NARROW = LoupeConfig(
    stages=(8, 8, 16, 16, 16), blocks=(0, 1, 1, 1, 1), coarse=16, fine=8, decoder=(16, 16, 24)
)


def a_network() -> Loupe:
    """Random weights with every branch alive, so that a wrong graph shows."""
    torch.manual_seed(0)
    network = Loupe(NARROW)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs of `a_network`."""
    folder = tmp_path_factory.mktemp("loupe")
    export(a_network(), folder)
    return folder


@pytest.fixture
def segmenter(folder: Path) -> LoupeSegmenter:
    """A segmenter of its own, with nothing remembered."""
    return LoupeSegmenter(SPEC, folder)


def picture(width: int = 640, height: int = 480) -> np.ndarray:
    """Noise with a bright disc."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    image[(x - 200) ** 2 + (y - 150) ** 2 < 80**2] = 230
    return image


def test_windows_find_their_features_in_the_atlas() -> None:
    """A pyramid that holds its own coordinates gives back the coordinates of the window."""
    height, width = 256, 320
    atlas = torch.zeros(1, 2, *geometry.atlas_shape(height, width, 4))
    for level, (row, col) in enumerate(geometry.level_origins(height, width, 4)):
        stride = 4 * 2**level
        y, x = np.mgrid[: height // stride, : width // stride] * float(stride) + stride / 2
        atlas[0, 0, row : row + y.shape[0], col : col + y.shape[1]] = torch.from_numpy(x).float()
        atlas[0, 1, row : row + y.shape[0], col : col + y.shape[1]] = torch.from_numpy(y).float()
    boxes = np.array([[20, 30, 60, 90], [100, 100, 150, 140], [40, 40, 290, 230]], np.float32)
    windows = geometry.around_boxes(boxes, 1.0)
    questions = Questions(
        windows=torch.from_numpy(windows)[None],
        places=torch.from_numpy(geometry.places(windows, height, width))[None],
        points=torch.zeros(1, 3, 1, 3),
        boxes=torch.zeros(1, 3, 5),
        previous=torch.zeros(1, 3, 32, 32),
        has_previous=torch.zeros(1, 3),
        sizes=torch.tensor([[float(width), float(height)]]),
    )
    found = sample(atlas, questions, 0, 32).numpy()
    for (cx, cy, w, h), (x, y) in zip(windows, found, strict=True):
        steps = (np.arange(32) + 0.5) / 32 - 0.5
        inner = slice(4, 28)  # within half a cell of the image's edge values repeat
        assert np.allclose(x[inner, inner], (cx + w * steps)[None, inner], atol=0.02)
        assert np.allclose(y[inner, inner], (cy + h * steps)[inner, None], atol=0.02)


def test_windows_keep_small_and_long_objects_in_view() -> None:
    tiny = geometry.around_boxes(np.array([10, 10, 12, 12], np.float32))
    long = geometry.around_boxes(np.array([0, 100, 400, 104], np.float32))
    assert tiny[2:].tolist() == [geometry.MIN_SIDE] * 2
    assert long[2] == pytest.approx(400 * geometry.BOX_MARGIN)
    assert long[3] == pytest.approx(long[2] / geometry.MAX_ASPECT)
    assert geometry.around_point(5, 5, 300, 400)[-1][2] > 400


def test_a_mask_seen_from_its_own_window_is_itself() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((32, 32)).astype(np.float32)
    window = np.array([50, 40, 64, 32], np.float32)
    assert np.allclose(geometry.seen_from(mask, window, window, 32), mask, atol=1e-5)
    elsewhere = np.array([500, 40, 64, 32], np.float32)
    assert not geometry.seen_from(mask, window, elsewhere, 32).any()


def test_the_graphs_compute_what_the_network_computes(segmenter: LoupeSegmenter) -> None:
    """Within 5e-4 of torch with the 16-bit weights that are in the graphs, for 4 prompts."""
    network = a_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    image = picture(768, 576)
    embedding = segmenter.encode(image)
    prompt = Prompt((Point(200, 150), Point(400, 300, positive=False)))
    shape = Resized.of(768, 576)
    windows = geometry.around_point(200, 150, 576, 768)
    got = segmenter._ask(embedding, shape, prompt, windows)
    with torch.no_grad():
        atlases = network.encode(torch.from_numpy(image)[None].permute(0, 3, 1, 2).float() / 255)
        clicks = torch.tensor([[200.0, 150, 1], [400, 300, -1]]).expand(1, 4, 2, 3)
        logits, scores = network.decode(
            *atlases,
            Questions(
                windows=torch.from_numpy(windows)[None],
                places=torch.from_numpy(geometry.places(windows, 576, 768))[None],
                points=clicks,
                boxes=torch.zeros(1, 4, 5),
                previous=torch.zeros(1, 4, 32, 32),
                has_previous=torch.zeros(1, 4),
                sizes=torch.tensor([[768.0, 576.0]]),
            ),
        )
    # Folding batch norms into rounded weights moves them by the last of 11 bits.
    scale = float(logits.abs().max())
    for index, look in enumerate(got):
        assert np.abs(look.logits - logits[0, index].numpy()).max() < 5e-3 * scale
        assert look.score == pytest.approx(float(torch.sigmoid(scores[0, index])), abs=5e-3)


@pytest.mark.parametrize("size", [(640, 480), (37, 1200), (3, 3), (1600, 1200)])
def test_any_size_of_image_gives_masks_of_that_size(
    segmenter: LoupeSegmenter, size: tuple[int, int]
) -> None:
    width, height = size
    embedding = segmenter.encode(picture(width, height))
    for prompt in (
        Prompt((Point(width / 2, height / 2),)),
        Prompt(box=Box(0, 0, width, height)),
        Prompt((Point(1, 1), Point(2, 2, positive=False)), Box(0, 0, width / 2, height / 2)),
    ):
        candidates = segmenter.decode(embedding, prompt)
        assert candidates
        for candidate in candidates:
            assert segmenter.render(embedding, candidate).shape == (height, width)
            assert 0 <= candidate.score <= 1


def test_answers_do_not_depend_on_what_was_asked_before(folder: Path) -> None:
    """Remembered answers are the ones a fresh instance gives."""
    prompt = Prompt((Point(200, 150), Point(320, 150), Point(50, 60, positive=False)))
    one, other = LoupeSegmenter(SPEC, folder), LoupeSegmenter(SPEC, folder)
    embedding = one.encode(picture())
    for count in (1, 2, 3, 2, 1):
        one.decode(embedding, Prompt(prompt.points[:count]))
    again = one.decode(embedding, prompt)
    fresh = other.decode(embedding, prompt)
    assert [c.extent for c in again] == [c.extent for c in fresh]
    assert all((a.logits == b.logits).all() for a, b in zip(again, fresh, strict=True))
    assert one.decode(embedding, prompt)[0] is not None


def test_nothing_is_asked_without_a_positive_mark(segmenter: LoupeSegmenter) -> None:
    embedding = segmenter.encode(picture())
    assert segmenter.decode(embedding, Prompt()) == ()
    assert segmenter.decode(embedding, Prompt((Point(3, 3, positive=False),))) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=Box(100, 100, 100, 100)),
        Prompt(box=Box(-500, -500, -400, -400)),
        Prompt((Point(-50, 9000),)),
        Prompt((Point(5, 5, positive=False), Point(200, 150))),
    ],
)
def test_odd_prompts_are_answered(segmenter: LoupeSegmenter, prompt: Prompt) -> None:
    embedding = segmenter.encode(picture())
    candidates = segmenter.decode(embedding, prompt)
    assert candidates
    assert all(np.isfinite(c.logits).all() for c in candidates)


def test_an_embedding_from_a_disk_is_completed(segmenter: LoupeSegmenter) -> None:
    embedding = segmenter.encode(picture())
    stored = Embedding(
        embedding.model,
        embedding.width,
        embedding.height,
        {name: array.astype(np.float16) for name, array in embedding.arrays.items()},
    )
    candidates = segmenter.decode(segmenter.complete(stored), Prompt(box=Box(100, 60, 300, 250)))
    assert candidates[0].logits.dtype == np.float32


def test_a_damaged_graph_is_refused(tmp_path: Path, folder: Path) -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"encoder\.onnx"):
        LoupeSegmenter(SPEC, tmp_path)
