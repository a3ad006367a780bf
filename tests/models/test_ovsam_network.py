"""Open-Vocabulary SAM against the fixtures, and a narrow one everywhere."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, Embedding, Point, Prompt
from models.naming.classifier import logits as rank
from models.networks.ovsam import (
    ImageFeatures,
    OpenVocabularySam,
    box_levels,
    mask_boxes,
    narrow_ovsam,
    read_pyramid,
    read_regions,
)
from models.ovsam.ensemble import combined, probabilities, seen_by_clip
from models.ovsam.files import LAST_LEVEL, PYRAMID, OvsamFiles
from models.ovsam.loading import load_ovsam
from models.ovsam.runtime import TorchOvsam
from models.ovsam.segmenter import OvsamSegmenter
from models.registry import segmenter_spec
from models.transforms import full_mask, network_input, resize
from tests.models import ovsam_fixture as fixture
from tests.models.ovsam_fixture import FRAME, SETS, needs_fixture

STRIDES = (6, 12, 24, 48)
STEP = (16, 8, 4, 2)


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def hollow() -> OpenVocabularySam:
    """The full network, its parts to be filled by those who need them."""
    with torch.device("meta"):
        return OpenVocabularySam()


def part(hollow: OpenVocabularySam, *names: str) -> OpenVocabularySam:
    for name in names:
        if any(value.is_meta for value in hollow.get_submodule(name).parameters()):
            hollow.get_submodule(name).to_empty(device="cpu")
            fixture.fill(hollow, name)
    return hollow


def channel_statistics(x: torch.Tensor) -> np.ndarray:
    flat = x[0].flatten(1)
    rows = [(row.double().mean(), row.double().std(unbiased=False)) for row in flat]
    return np.array(rows).T


def close(actual, expected, tolerance) -> None:
    actual = actual.numpy() if isinstance(actual, torch.Tensor) else actual
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def synthetic() -> list[torch.Tensor]:
    sizes = ((384, 256), (768, 128), (1536, 64), (3072, 32))
    make = fixture.generator().tensor
    return [
        torch.from_numpy(make(f"input.clip_feat{level}", (1, count, side, side)))
        for level, (count, side) in enumerate(sizes)
    ]


# --- Parts, from what is stored of the parts before them ---


def test_parameters_are_counted_as_published(hollow):
    assert len(hollow.state_dict()) == 993
    counts = {
        name: sum(value.numel() for value in module.state_dict().values())
        for name, module in hollow.named_children()
        if name != "visual"
    }
    assert counts == {
        "neck_student": 134_087_648,
        "prompt_encoder": 6_476,
        "mask_decoder": 4_031_104,
        "fpn_neck": 3_835_904,
    }
    assert sum(value.numel() for value in hollow.visual.parameters()) == 167_328_912


@needs_fixture
def test_names_of_tensors_are_the_published_ones(hollow):
    published = json.loads((fixture.FOLDER / "keys.json").read_text())
    late = published.pop(fixture.LATE_CONV)
    assert late["shape"] == published[f"mask_decoder.{fixture.LATE_CONV}"]["shape"]
    found = {name: list(value.shape) for name, value in hollow.state_dict().items()}
    assert found == {name: entry["shape"] for name, entry in published.items()}


@needs_fixture
def test_image_is_prepared_as_in_the_demo():
    cases, small = fixture.cases(), resize(fixture.image(), FRAME)
    assert small.shape[:2] == tuple(cases["resized_size_hw"])
    assert zlib.crc32(small.tobytes()) == cases["resized_crc32"]


@needs_fixture
@pytest.mark.parametrize("case", SETS)
def test_prompt_tokens_agree(hollow, case):
    net = part(hollow, "prompt_encoder")
    close(
        net.prompt_encoder(**fixture.prompts(case))[0],
        fixture.cases()[f"{case}/sparse_embed"],
        1e-5,
    )


@needs_fixture
def test_dense_positions_agree(hollow):
    found = part(hollow, "prompt_encoder").prompt_encoder.dense_positions()
    close(found[0, ::8, ::8, ::8], fixture.cases()["dense_pe_sub"], 1e-5)


@needs_fixture
def test_decoder_alone_agrees(hollow):
    net = part(hollow, "prompt_encoder", "mask_decoder")
    embedding = fixture.generator().tensor("input.image_embedding", (1, 256, 64, 64))
    logits, _ = net.decode(torch.from_numpy(embedding), **fixture.prompts("point"))
    close(logits[0, ::2, ::2], fixture.cases()["isolated_decoder/low_res_masks_sub"], 1e-3)


@needs_fixture
@pytest.mark.parametrize("case", SETS)
def test_boxes_and_levels_of_masks_agree(case):
    cases = fixture.cases()
    boxes = mask_boxes(torch.from_numpy(cases[f"{case}/low_res_masks"][:, 0]))
    close(boxes, cases[f"{case}/pred_boxes_1024"], 0)
    close(box_levels(boxes), cases[f"{case}/roi_level"], 0)


@needs_fixture
def test_levels_of_odd_boxes_agree():
    boxes = torch.from_numpy(fixture.cases()["roi_test/boxes"])
    close(box_levels(boxes), fixture.cases()["roi_test/level"], 0)


@needs_fixture
@pytest.mark.parametrize("case", SETS)
def test_masks_at_the_size_of_the_image_agree(case):
    cases = fixture.cases()
    for logits, truth in zip(
        cases[f"{case}/low_res_masks"][:, 0], fixture.unpacked(case), strict=True
    ):
        mask = full_mask(logits, FRAME)
        assert (mask & truth).sum() >= 0.999 * (mask | truth).sum()


# --- The full network, once ---


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> OpenVocabularySam:
    """Loaded as a user's files are: key for key, the late convolution in place of the first."""
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.mktemp("published")) as folder:
        paths = fixture.save_published(Path(folder))
        tower, neck, decoder, prompts, pyramid = (
            next(path for name, path in paths.items() if text in name)
            for text in ("open_clip", "sam2clip", "ovsam_R50", "sam_vit_h", "fpn")
        )
        return load_ovsam(OvsamFiles(tower, neck, (decoder, pyramid), prompts))


@pytest.fixture(scope="module")
def backbone(full) -> list[torch.Tensor]:
    from models.networks.ovsam.backbone import levels

    pixels = torch.from_numpy(network_input(fixture.image(), FRAME))
    with torch.inference_mode():
        return list(levels(full.visual, pixels))


@pytest.fixture(scope="module")
def features(full, backbone) -> ImageFeatures:
    with torch.inference_mode():
        embedding, pyramid = full.neck_student(backbone), full.fpn_neck(backbone)
    return ImageFeatures(embedding, tuple(pyramid), backbone[-1])


@needs_fixture
@pytest.mark.slow
@pytest.mark.timeout(900)
class TestFull:
    def test_backbone_agrees(self, backbone):
        for level, found in enumerate(backbone):
            cases, step = fixture.cases(), STEP[level]
            close(channel_statistics(found), cases[f"backbone_feat{level}_chan"], 1e-4)
            sub = found[0, :: STRIDES[level], ::step, ::step]
            close(sub, cases[f"backbone_feat{level}_sub"], 2e-3)

    def test_neck_alone_agrees(self, full, synthetic):
        with torch.inference_mode():
            found = full.neck_student(synthetic)
        close(
            channel_statistics(found), fixture.cases()["isolated_neck/image_embedding_chan"], 1e-4
        )
        close(found[0, ::4, ::3, ::3], fixture.cases()["isolated_neck/image_embedding_sub"], 1e-4)

    def test_pyramid_alone_agrees(self, full, synthetic):
        with torch.inference_mode():
            found = full.fpn_neck(synthetic)
        for level, features in enumerate(found):
            stored = fixture.cases()[f"isolated_fpn/fpn_feat{level}_chan"]
            close(channel_statistics(features), stored, 1e-4)

    def test_embedding_agrees(self, features):
        cases = fixture.cases()
        close(channel_statistics(features.image), cases["image_embedding_chan"], 1e-4)
        close(features.image[0, ::2, ::2, ::2], cases["image_embedding_sub"], 1e-4)

    def test_pyramid_agrees(self, features):
        for level, found in enumerate(features.pyramid):
            step = STEP[level]
            close(channel_statistics(found), fixture.cases()[f"fpn_feat{level}_chan"], 1e-4)
            close(found[0, ::4, ::step, ::step], fixture.cases()[f"fpn_feat{level}_sub"], 1e-3)

    @pytest.mark.parametrize("case", SETS)
    def test_masks_and_names_agree(self, full, features, case):
        cases = fixture.cases()
        with torch.inference_mode():
            logits, tokens = full.decode(features.image, **fixture.prompts(case))
            boxes = mask_boxes(logits)
            regions = read_pyramid(features.pyramid, boxes)
            vectors = full.mask_decoder.vectors(regions)
        close(logits[:, None], cases[f"{case}/low_res_masks"], 1e-3)
        close(tokens, cases[f"{case}/tokens_out"], 1e-3)
        close(boxes, cases[f"{case}/pred_boxes_1024"], 0)
        close(regions[:, ::8], cases[f"{case}/roi_feats_sub"], 1e-3)
        close(vectors, cases[f"{case}/roi_embed"], 1e-4)
        found = rank(vectors.numpy(), cases["class_embed"])
        close(found, cases[f"{case}/cls_logits"], 5e-3)
        for one, truth in zip(logits.numpy(), fixture.unpacked(case), strict=True):
            mask = full_mask(one, FRAME)
            assert (mask & truth).sum() >= 0.999 * (mask | truth).sum()

    def test_the_segmenter_says_the_same(self, full, features):
        """In the image's coordinates, with 16 bits, as the program uses it."""
        cases, runtime = fixture.cases(), TorchOvsam(full, torch.device("cpu"))
        segmenter = OvsamSegmenter(segmenter_spec("ovsam"), runtime, "fixture")
        halves = zip((*PYRAMID, LAST_LEVEL), (*features.pyramid, features.clip), strict=True)
        arrays = {name: value[0].half().numpy() for name, value in halves}
        arrays["image"] = features.image[0].numpy()
        embedding = Embedding("ovsam", 640, 418, arrays)
        point, down = Prompt((Point(*cases["point/points_original"][0, 0].tolist()),)), 418 / 668
        (found,) = segmenter.decode(embedding, point)
        mask, truth = segmenter.render(embedding, found), fixture.unpacked("point")[0]
        # The demo scales points by 1.6 along y too, where the image is 1.5981 times as high.
        assert (mask & truth).sum() >= 0.99 * (mask | truth).sum()
        for case in ("point", "twopoints", "batch_of_2_points"):
            x0, y0, x1, y1 = cases[f"{case}/pred_boxes_1024"][0].tolist()
            box = Box(x0 / 1.6, y0 * down, x1 / 1.6, y1 * down)
            vector = segmenter.vector(embedding, box)
            scores = rank(vector[None], cases["class_embed"])[0]
            np.testing.assert_allclose(scores, cases[f"{case}/cls_logits"][0], atol=0.02)

    @pytest.mark.parametrize("which", ["given_box", "pred_box"])
    @pytest.mark.parametrize("case", SETS)
    def test_ensemble_agrees(self, full, features, case, which):
        cases = fixture.cases()
        boxes = torch.from_numpy(cases[f"{case}/ensemble_{which}_1024"])
        masks = cases[f"{case}/low_res_masks"][:, 0]
        own = cases[f"{case}/cls_logits"]
        boxes = boxes.expand(len(own), 4)
        with torch.inference_mode():
            vectors = full.clip_vectors(features.clip, boxes).numpy()
        found = combined(
            own,
            rank(vectors, cases["class_embed"]),
            np.array([seen_by_clip(mask) for mask in masks]),
            cases["base_classes"].tolist(),
            cases["novel_classes"].tolist(),
        )
        close(found, cases[f"{case}/ensemble_{which}_logprob"], 5e-3)
        label = probabilities(found).argmax(-1)
        close(label, cases[f"{case}/ensemble_{which}_label"], 0)

    def test_odd_boxes_agree(self, full, features):
        cases, table = fixture.cases(), fixture.cases()["class_embed"]
        boxes = torch.from_numpy(cases["roi_test/boxes"])
        with torch.inference_mode():
            close(
                read_pyramid(features.pyramid, boxes)[:, ::8], cases["roi_test/roi_feats_sub"], 1e-3
            )
            for suffix, side in (("", 7), ("_out12", 12)):
                vectors = full.vectors(features.pyramid, boxes, side).numpy()
                close(vectors, cases[f"roi_test/roi_embed{suffix}"], 1e-4)
                close(rank(vectors, table), cases[f"roi_test/cls_logits{suffix}"], 5e-3)
            regions = read_regions(features.clip, boxes, 32, 12)
            close(regions[:, ::48], cases["roi_test/clip_roi_sub"], 2e-3)
            vectors = full.clip_vectors(features.clip, boxes).numpy()
        close(vectors, cases["roi_test/clip_vec"], 1e-3)
        close(rank(vectors, table), cases["roi_test/clip_logits"], 5e-3)


class TestNarrow:
    """What needs no fixture: the same code with few channels and random weights."""

    net = narrow_ovsam()
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))

    def test_shapes(self):
        with torch.inference_mode():
            features = self.net.encode(self.pixels)
            boxes = torch.tensor([[10.0, 20.0, 60.0, 90.0], [0.0, 0.0, 0.0, 0.0]])
            logits, tokens = self.net.decode(features.image, boxes=boxes)
            vectors = self.net.vectors(features.pyramid, boxes)
        assert logits.shape == (2, 32, 32)
        assert tokens.shape == (2, 4, 64)
        assert vectors.shape == (2, 24)
        assert vectors[0].any()
        assert not vectors[1].any()

    def test_encoding_says_what_it_does(self):
        with torch.inference_mode():
            steps = list(self.net.encoding(self.pixels))
        depth = self.net.sizes.neck.depth
        assert steps == ["backbone"] * 4 + ["neck"] * (depth + 2) + ["pyramid"]
        assert len(steps) == self.net.step_count

    def test_a_negative_point_is_not_a_positive_one(self):
        with torch.inference_mode():
            image = self.net.encode(self.pixels).image
            points = torch.tensor([[[30.0, 40.0], [60.0, 60.0]]]).expand(2, 2, 2)
            labels = torch.tensor([[1, 1], [1, 0]])
            logits, _ = self.net.decode(image, (points, labels))
        assert (logits[0] - logits[1]).abs().max() > 1e-3

    def test_label_token_changes_masks(self):
        with torch.inference_mode():
            image = self.net.encode(self.pixels).image
            box = torch.tensor([[10.0, 20.0, 60.0, 90.0]])
            before, _ = self.net.decode(image, boxes=box)
            token = self.net.mask_decoder.label_token.weight
            kept = token.clone()
            token.add_(1)
            after, _ = self.net.decode(image, boxes=box)
            token.copy_(kept)
        assert (before - after).abs().max() > 1e-4

    def test_an_empty_mask_has_no_box(self):
        masks = torch.full((2, 8, 8), -1.0)
        masks[1, 2:5, 3] = 1
        assert mask_boxes(masks).tolist() == [[0, 0, 0, 0], [12, 8, 16, 20]]

    def test_half_precision_and_cutting_out_change_nothing(self):
        generator = torch.Generator().manual_seed(3)
        pyramid = [torch.randn(1, 4, 256 // 2**i, 256 // 2**i, generator=generator).half()
                   for i in range(4)]  # fmt: skip
        corners = 1100 * torch.rand(60, 2, 2, generator=generator) - 40
        boxes = torch.cat([corners.amin(1), corners.amax(1)], 1)
        boxes[::3, 2:] = boxes[::3, :2] + 40
        boxes[0] = torch.tensor([1010.0, 1020.0, 1200.0, 1300.0])
        boxes[1] = torch.tensor([1100.0, 1100.0, 1200.0, 1200.0])
        found = torch.cat([read_pyramid(pyramid, box[None]) for box in boxes])
        for index, level in enumerate(box_levels(boxes).tolist()):
            whole = pyramid[level].float()
            truth = read_regions(whole, boxes[index][None], 4 * 2**level, 7)
            close(found[index], truth[0].numpy(), 2e-4)


class TestEnsemble:
    def test_classes_in_neither_list_cannot_win(self):
        rng = np.random.default_rng(0)
        own, clip = rng.normal(size=(2, 2, 5)).astype(np.float32)
        own[:, 3] = clip[:, 3] = 50
        found = combined(own, clip, np.array([True, False]), base=[0], novel=[1, 2])
        assert (found[:, 3] == -1000).all()
        assert (probabilities(found)[:, 3] == 0).all()
        # Where CLIP does not count the scores are OVSAM's own.
        expected = own[1] - np.log(np.exp(own[1].astype(np.float64)).sum())
        close(found[1, :3], expected[:3].astype(np.float32), 1e-5)

    def test_without_lists_all_classes_are_novel(self):
        own, clip = np.zeros((1, 3), np.float32), np.float32([[4, 0, 0]])
        found = combined(own, clip, np.array([True]))
        assert found[0, 0] - found[0, 1] == pytest.approx(0.9 * 4)

    def test_thin_masks_are_not_seen_by_clip(self):
        logits = np.full((64, 64), -1, np.float32)
        logits[16:24, 16] = 5
        assert not seen_by_clip(logits)
        logits[16:24, 19:21] = 5
        assert seen_by_clip(logits)
