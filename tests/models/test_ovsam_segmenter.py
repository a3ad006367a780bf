"""Open-Vocabulary SAM's files and how it behaves as a segmenter, with a narrow network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import (
    BatchSegmenter,
    Box,
    CachedSegmenter,
    ModelError,
    ObjectDescriber,
    Point,
    Prompt,
)
from models.catalog import NEEDS, WEIGHTS, needs
from models.embedding_cache import EmbeddingKey, pack, unpack
from models.encoding import EncodingStoppedError, Passed, passed, watched
from models.networks.ovsam import NARROW, OpenVocabularySam, narrow_ovsam
from models.ovsam.files import VARIANTS, OvsamFiles
from models.ovsam.loading import load_ovsam, load_part, read_classifier, read_heads
from models.ovsam.runtime import TorchOvsam
from models.ovsam.segmenter import OvsamSegmenter
from models.registry import segmenter_spec
from models.weights import WeightStore

SPEC = segmenter_spec("ovsam")


@pytest.fixture(scope="module")
def network() -> OpenVocabularySam:
    return narrow_ovsam(3)


@pytest.fixture(scope="module")
def segmenter(network) -> OvsamSegmenter:
    return OvsamSegmenter(SPEC, TorchOvsam(network, torch.device("cpu")), "test", side=128)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (150, 200, 3), np.uint8)
    pixels[40:90, 60:130] = (220, 40, 90)
    return pixels


@pytest.fixture(scope="module")
def embedding(segmenter, image):
    return segmenter.encode(image)


# --- Files ---


def tensors(network: OpenVocabularySam, *parts: str) -> dict[str, torch.Tensor]:
    return {
        name: value.clone()
        for name, value in network.state_dict().items()
        if name.split(".")[0] in parts
    }


class Configuration:
    """What mmengine leaves in checkpoints: nothing that is needed for tensors."""

    made = 0

    def __setstate__(self, state: Any) -> None:
        type(self).made += 1


@pytest.fixture
def files(network, tmp_path) -> OvsamFiles:
    """As the demo has them: wrapped, bare, with another convolution beside the pyramid."""
    pyramid = tensors(network, "fpn_neck")
    pyramid["roi_conv.0.conv.weight"] = torch.full((24, 64, 1, 1), 0.25)
    contents: dict[str, Any] = {
        "RN50x16.pt": tensors(network, "visual"),
        "neck.pth": {"state_dict": tensors(network, "neck_student"), "meta": Configuration()},
        "decoder.pth": {"state_dict": tensors(network, "mask_decoder"), "meta": {"epoch": 12}},
        "pyramid.pth": pyramid,
        "sam.pth": tensors(network, "prompt_encoder") | {"image_encoder.x": torch.zeros(2)},
    }
    paths = {name: tmp_path / name for name in contents}
    for name, content in contents.items():
        torch.save(content, paths[name])
    heads = paths["decoder.pth"], paths["pyramid.pth"]
    return OvsamFiles(paths["RN50x16.pt"], paths["neck.pth"], heads, paths["sam.pth"])


def test_the_demos_files_are_loaded_without_running_anything(network, files):
    Configuration.made = 0
    loaded = load_ovsam(files, NARROW).state_dict()
    assert Configuration.made == 0
    late = "mask_decoder.roi_conv.0.conv.weight"
    assert (loaded.pop(late) == 0.25).all()
    for name, value in loaded.items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert len(loaded) == len(network.state_dict()) - 1


class Towers(torch.nn.Module):
    """As OpenAI published CLIP: both towers in one compiled program of 16 bits."""

    def __init__(self, visual: torch.nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.text = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual(x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_the_backbone_is_read_from_openais_program(network, tmp_path):
    towers = Towers(narrow_ovsam(3).visual).eval()
    program = torch.jit.trace(towers, torch.zeros(1, 3, 64, 64), check_trace=False)
    program.half().save(str(tmp_path / "RN50x16.pt"))
    other = narrow_ovsam(8)
    load_part(other, "visual", tmp_path / "RN50x16.pt")
    for name, value in other.visual.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        wanted = network.visual.state_dict()[name]
        assert torch.equal(value, wanted.half().to(value.dtype)), name


def test_the_order_of_heads_does_not_matter(files):
    for heads in (files.heads, files.heads[::-1]):
        state = read_heads(heads)
        assert (state["mask_decoder.roi_conv.0.conv.weight"] == 0.25).all()
        assert not any(name.startswith("roi_conv") for name in state)


def test_the_repositorys_file_has_both_heads(network, files, tmp_path):
    both = tmp_path / "clip2sam.pth"
    torch.save({"state_dict": tensors(network, "fpn_neck", "mask_decoder")}, both)
    loaded = load_ovsam(replace(files, heads=(both,)), NARROW).state_dict()
    for name, value in loaded.items():
        assert torch.equal(value, network.state_dict()[name]), name


def damage(path: Path, change: Any) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fpn_neck.fpn_convs.2.conv.bias"), r"1 missing.*2\.conv\.bias"),
        (lambda state: state.update({"fpn_neck.extra": torch.zeros(1)}), r"1 unknown.*extra"),
        (
            lambda state: state.update({"fpn_neck.fpn_convs.0.conv.bias": torch.zeros(7)}),
            "1 of another shape",
        ),
        (lambda state: state["fpn_neck.fpn_convs.0.conv.bias"].fill_(torch.nan), "damaged"),
    ],
)
def test_what_does_not_fit_is_refused(files, change, message):
    damage(files.heads[1], change)
    with pytest.raises(ModelError, match=message):
        load_ovsam(files, NARROW)


def test_another_models_file_is_refused(files):
    with pytest.raises(ModelError, match=r"sam\.pth.*another network.*neck_student"):
        load_ovsam(replace(files, neck=files.prompts), NARROW)


def test_one_head_alone_is_refused(files):
    with pytest.raises(ModelError, match="feature pyramid"):
        load_ovsam(replace(files, heads=files.heads[:1]), NARROW)


def test_missing_and_cut_files_are_named(files):
    content = files.neck.read_bytes()
    files.neck.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"neck\.pth.*cut off"):
        load_ovsam(files, NARROW)
    files.neck.unlink()
    with pytest.raises(ModelError, match=r"neck\.pth.*do not exist"):
        load_ovsam(files, NARROW)


def test_vectors_of_names_are_read(tmp_path):
    table = torch.randn(5, 2, 24)
    torch.save(table, tmp_path / "names.pth")
    np.testing.assert_array_equal(read_classifier(tmp_path / "names.pth"), table.numpy())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(5, 24), r"names\.pth.*wrong shape \(5 × 24\)"),
        (torch.full((2, 1, 4), torch.nan), r"names\.pth.*not numbers"),
        ({"a": torch.zeros(2)}, "not a single tensor"),
    ],
)
def test_other_tensors_are_no_names(tmp_path, content, message):
    torch.save(content, tmp_path / "names.pth")
    with pytest.raises(ModelError, match=message):
        read_classifier(tmp_path / "names.pth")


def test_a_program_in_place_of_names_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Attack(), tmp_path / "names.pth")
    with pytest.raises(ModelError):
        read_classifier(tmp_path / "names.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("model_id", VARIANTS)
def test_missing_files_are_named_with_their_licence(model_id):
    sentence = segmenter_spec(model_id).available()
    assert sentence is not None
    assert "S-Lab License 1.0" in sentence
    (group,) = needs(model_id)
    for weight in group:
        # The vectors of LVIS's names are of use, but nothing that is needed.
        assert (weight.id in sentence) == (weight.id != "ovsam-lvis")


def test_no_model_is_called_as_another_models_file_is() -> None:
    for name in NEEDS.keys() & WEIGHTS.keys():  # a command takes either
        assert name in NEEDS[name][0]


def test_any_file_with_the_prompt_encoder_will_do(tmp_path):
    store = WeightStore()
    store.folder.mkdir(parents=True)
    (weight,) = needs("mobilesam")[0]
    with store.path(weight).open("wb") as file:
        file.truncate(weight.bytes)
    sentence = segmenter_spec("ovsam").available()
    assert sentence is not None
    assert "edgesam" not in sentence
    assert "clip-rn50x16" in sentence


# --- The segmenter ---


def test_it_says_what_it_can(segmenter):
    for kind in (CachedSegmenter, BatchSegmenter, ObjectDescriber):
        assert isinstance(segmenter, kind)
    assert "slow" in SPEC.title
    assert "tens of seconds" in SPEC.summary
    assert segmenter.tower == "clip-rn50x16"
    assert segmenter.space == "clip-rn50x16-ovsam-1"


def test_an_embedding_holds_everything_in_few_bytes(embedding):
    shapes = {name: array.shape for name, array in embedding.arrays.items()}
    assert shapes == {
        "image": (64, 8, 8),
        "p2": (64, 32, 32),
        "p3": (64, 16, 16),
        "p4": (64, 8, 8),
        "p5": (64, 4, 4),
        "clip": (256, 4, 4),
    }
    kinds = {name: array.dtype.name for name, array in embedding.arrays.items()}
    assert kinds.pop("image") == "float32"
    assert set(kinds.values()) == {"float16"}


def test_encoding_says_how_far_it_is(segmenter, image):
    seen: list[Passed] = []
    with watched(seen.append, lambda: False):
        segmenter.encode(image)
    assert list(dict.fromkeys(one.part for one in seen)) == ["backbone", "neck", "pyramid"]
    shares = [one.share for one in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_encoding_stops_after_the_step_at_hand(segmenter, image):
    seen: list[Passed] = []
    with (
        pytest.raises(EncodingStoppedError),
        watched(seen.append, lambda: len(seen) == 3),
    ):
        segmenter.encode(image)
    assert len(seen) == 3
    passed("elsewhere", 1.0)  # nobody watches any more


def test_a_mask_at_the_size_of_the_image(segmenter, embedding):
    (candidate,) = segmenter.decode(embedding, Prompt((Point(95, 65),)))
    assert candidate.logits.shape == (32, 32)
    assert candidate.logits.dtype == np.float32
    assert 0 <= candidate.score <= 1
    assert candidate.extent.width == pytest.approx(200)
    assert candidate.extent.height > 150
    assert segmenter.render(embedding, candidate).shape == (150, 200)


def test_negative_clicks_count(segmenter, embedding):
    point, other = Point(95, 65), Point(20, 20)
    found = [
        segmenter.decode(embedding, Prompt((point, replace(other, positive=kind))))[0].logits
        for kind in (True, False)
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_no_prompt_has_no_answer(segmenter, embedding):
    assert segmenter.decode(embedding, Prompt()) == ()
    assert segmenter.decode(embedding, Prompt((Point(3, 3, positive=False),))) == ()


def test_many_prompts_are_answered_as_each_alone(segmenter, embedding):
    prompts = [
        *(Prompt((Point(10 * x, 40),)) for x in range(1, 12)),
        Prompt(box=Box(60, 40, 130, 90)),
        Prompt((Point(95, 65), Point(10, 10, positive=False))),
        Prompt(),
    ]
    together = segmenter.decode_many(embedding, prompts)
    for prompt, found in zip(prompts, together, strict=True):
        alone = segmenter.decode(embedding, prompt)
        assert len(found) == len(alone) == bool(prompt)
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)


def test_vectors_of_any_box(segmenter, network, embedding, image):
    boxes = [Box(60, 40, 130, 90), Box(0, 0, 200, 150), Box(-50, -50, 400, 400), Box(5, 5, 5, 9)]
    found = segmenter.vectors(embedding, boxes)
    assert found.shape == (4, 24)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(found[1], found[2], atol=1e-5)  # nothing is outside the image
    assert found[0] @ found[1] < 0.9999
    np.testing.assert_allclose(segmenter.vector(embedding, boxes[0]), found[0], atol=1e-6)
    # The same by hand, with 32 bits: a box of 200 x 150 pixels in a frame of 128 pixels.
    from models.transforms import Frame, network_input

    with torch.inference_mode():
        pixels = torch.from_numpy(network_input(image, Frame(200, 150, 128, rounding=0)))
        box = 0.64 * torch.tensor([[60.0, 40.0, 130.0, 90.0]])
        vector = network.vectors(network.encode(pixels).pyramid, box)[0].numpy()
    np.testing.assert_allclose(found[0], vector / np.linalg.norm(vector), atol=2e-3)


def test_frozen_clip_describes_too(segmenter, embedding):
    found = segmenter.clip_vectors(embedding, [Box(60, 40, 130, 90), Box(10, 10, 50, 60)])
    assert found.shape == (2, 24)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_an_embedding_from_disk_gives_the_same(segmenter, embedding):
    key = EmbeddingKey.of(segmenter, "content")
    stored = segmenter.complete(unpack(pack(embedding, key), key))
    prompt, box = Prompt((Point(95, 65),)), Box(60, 40, 130, 90)
    before, after = (segmenter.decode(one, prompt)[0].logits for one in (embedding, stored))
    assert np.abs(before - after).max() < 0.02 * np.abs(before).max()
    np.testing.assert_allclose(
        segmenter.vector(stored, box), segmenter.vector(embedding, box), atol=1e-6
    )


def test_damaged_numbers_are_refused(network, image):
    broken = narrow_ovsam(3)
    with torch.no_grad():
        broken.neck_student.pos_embed.fill_(torch.nan)
    one = OvsamSegmenter(SPEC, TorchOvsam(broken, torch.device("cpu")), "test", side=128)
    with pytest.raises(ModelError, match="not numbers"):
        one.encode(image)
