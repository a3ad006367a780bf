"""CLIP's towers: numbers as open_clip gives them, from the files people have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip  # noqa: TID253
import pytest
import torch  # noqa: TID253

from models.api import Box, ModelError
from models.naming.clip import DEVIATION, MEAN, Clip, read_towers
from models.naming.describer import ClipDescriber, squared
from models.naming.texts import NameVectors
from models.naming.towers import TOWERS, find_tower
from tests.naming import small_clip

SHARED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "text_classifier"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    small_clip.register(tmp_path_factory.mktemp("clip"))
    return small_clip.network()


def test_texts_and_images_are_as_open_clip_computes_them(small: torch.nn.Module) -> None:
    clip = Clip(small_clip.ARCHITECTURE, small.state_dict())
    prompts = ["a photo of a cat.", "تفاحة", "🍎" * 60]
    square = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    pixels = torch.from_numpy(square).permute(2, 0, 1) / 255 - torch.tensor(MEAN)[:, None, None]
    with torch.inference_mode():
        texts = small.encode_text(open_clip.get_tokenizer(small_clip.ARCHITECTURE)(prompts))
        image = small.encode_image((pixels / torch.tensor(DEVIATION)[:, None, None])[None])
    np.testing.assert_allclose(clip.texts(prompts), texts.numpy(), atol=1e-5)
    np.testing.assert_allclose(clip.images([square]), image.numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_openais_compiled_form_and_a_checkpoint_hold_the_same(
    small: torch.nn.Module, tmp_path: Path
) -> None:
    half = small_clip.network().half().float()  # OpenAI's files have 16 bits
    image, tokens = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
    traced = torch.jit.trace(half, (image, tokens), check_trace=False)
    torch.jit.save(traced, tmp_path / "compiled.pt")
    torch.save({"state_dict": half.state_dict()}, tmp_path / "checkpoint.pt")
    compiled = read_towers(tmp_path / "compiled.pt")
    compiled.pop("attn_mask", None)
    other = read_towers(tmp_path / "checkpoint.pt")
    assert compiled.keys() == other.keys()
    first = Clip(small_clip.ARCHITECTURE, compiled).texts(["a dog"])
    np.testing.assert_array_equal(first, Clip(small_clip.ARCHITECTURE, other).texts(["a dog"]))


def test_weights_of_another_model_are_refused(small: torch.nn.Module) -> None:
    state = {name: v for name, v in small.state_dict().items() if "resblocks.1" not in name}
    with pytest.raises(ModelError, match="does not fit"):
        Clip(small_clip.ARCHITECTURE, state)
    with pytest.raises(ModelError, match="knows no model"):
        Clip("no-such-clip", {})


def test_every_tower_names_an_architecture_and_a_file() -> None:
    for tower in TOWERS:
        config = open_clip.get_model_config(tower.architecture)
        assert config["embed_dim"] == tower.length
        assert config["vision_cfg"]["image_size"] == tower.side
        # OpenAI's weights need it, and LAION's were trained without.
        assert config.get("quick_gelu", False) == ("openai" in tower.file.origin)
        assert tower.file.sha256 in tower.file.urls[0]
        assert find_tower(tower.id) is tower
    with pytest.raises(ModelError, match="no model for names"):
        find_tower("clip-2000")


def test_the_describer_looks_at_the_object_in_a_square(small: torch.nn.Module) -> None:
    tower = replace(TOWERS[0], side=small_clip.SIDE, length=small_clip.LENGTH)
    describer = ClipDescriber(tower, Clip(small_clip.ARCHITECTURE, small.state_dict()))
    image = np.random.default_rng(1).integers(0, 255, (40, 20, 3), np.uint8)
    mask = np.zeros((40, 20), bool)
    mask[10:30, 5:15] = True
    vector = describer.describe(image, mask, Box(0, 0, 20, 40))
    assert vector.shape == (small_clip.LENGTH,)
    assert np.linalg.norm(vector) == pytest.approx(1)
    removed = squared(image, mask, 32, "removed")
    assert (removed[:, :8] == removed[0, 0]).all(), "a tall object stands in the middle"
    assert (removed[2:6, 12:20] == removed[0, 0]).all(), "nothing of the background is left"
    assert (removed[12:20, 14:18] != removed[0, 0]).any()
    kept = squared(image, mask, 32, "kept")
    assert (kept[2:6, 12:20] != removed[0, 0]).any()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared fixtures are not here")
def test_the_published_text_classifier(tmp_path: Path) -> None:
    case = np.load(SHARED / "cases.npz")
    clip = Clip("RN50x16-quickgelu", _state())
    # Three names of the eleven: each costs fourteen sentences through 124 million parameters.
    chosen = [0, 1, 2]
    count = len(case["templates"])
    for name in chosen:
        rows = slice(name * count, name * count + 2)
        found = clip.texts([str(prompt) for prompt in case["prompts"][rows]])
        np.testing.assert_allclose(found, case["text_features"][rows], atol=1e-4)
    tokens = open_clip.get_tokenizer("RN50x16-quickgelu")([str(p) for p in case["prompts"]])
    np.testing.assert_array_equal(tokens.numpy(), case["tokens"])
    vectors = NameVectors(tmp_path, "rn50x16", [str(t) for t in case["templates"]])
    features = dict(zip(map(str, case["prompts"]), case["text_features"], strict=True))
    names = [str(name) for name in case["names"]]
    list(vectors.learning(names, lambda prompts: np.stack([features[p] for p in prompts])))
    split = np.split(np.array(names), np.cumsum(case["counts"])[:-1])
    table = vectors.table([list(map(str, part)) for part in split])
    for number, part in enumerate(split):
        start = table.starts[number]
        expected = case["classifier"][number, : len(part)]
        np.testing.assert_allclose(table.rows[start : start + len(part)], expected, atol=1e-5)


def _state() -> dict[str, torch.Tensor]:
    """Generated text weights; zeros for the image tower, which is not asked."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "fixture_weights", SHARED.parent / "fixture_weights.py"
    )
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    made = generator.state_dict(str(SHARED / "keys.json"), str(SHARED / "overlay.npz"))
    with torch.device("meta"):
        empty = open_clip.create_model("RN50x16-quickgelu", pretrained=None, device="meta")
    state = {name: torch.zeros(v.shape, dtype=v.dtype) for name, v in empty.state_dict().items()}
    return state | {name: torch.from_numpy(values) for name, values in made.items()}
