"""OMG-Seg against the fixtures, and a narrow one everywhere."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.naming.classifier import Names
from models.networks.name_scores import NameScores
from models.networks.omgseg import (
    NARROW,
    PUBLISHED,
    ClipFeatures,
    Found,
    Framing,
    OmgSeg,
    click_boxes,
    deformable,
    narrow_omgseg,
)
from models.networks.omgseg.backbone import convnext_levels
from models.networks.omgseg.deformable import agrees, sample_plainly
from models.networks.omgseg.ensemble import seen_classes, with_clip
from models.networks.omgseg.fusion import Rules, covering, fuse_instances, fuse_panoptic, render
from models.networks.omgseg.tracking import Tracks, clip_ends, matched, painted, start_from
from models.omgseg.loading import load_omgseg
from tests.models import omgseg_fixture as fixture
from tests.models.omgseg_fixture import IMAGE, THINGS, VIDEO, needs_fixture

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def close(actual, expected, tolerance) -> None:
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def mostly_close(actual, expected) -> None:
    """As the fixtures ask where masks are cut at 0: 99 % within 1e-3, everything within 5e-2."""
    close(actual, expected, 5e-2)
    assert np.quantile(np.abs(np.asarray(actual) - expected), 0.99) <= 1e-3


def statistics(x: torch.Tensor) -> np.ndarray:
    flat = x[0].flatten(1).double()
    return torch.stack([flat.mean(1), flat.std(1, unbiased=False)]).numpy()


def same_mask(found: np.ndarray, truth: np.ndarray) -> None:
    assert (found & truth).sum() >= 0.999 * (found | truth).sum()


# --- Without the large network ---


def test_layout_is_the_published_one():
    with torch.device("meta"):
        network = OmgSeg()
    head = network.panoptic_head.state_dict()
    assert len(head) == 310
    assert sum(value.numel() for value in head.values()) == 21_010_369
    assert sum(name.startswith("pixel_decoder.encoder.") for name in head) == 96
    assert head["pixel_decoder.input_convs.0.conv.weight"].shape == (256, 1536, 1, 1)
    tower = sum(value.numel() for value in network.visual.parameters())
    assert round(tower / 1e6, 1) == 199.8


@needs_fixture
def test_names_of_tensors_are_the_published_ones():
    with torch.device("meta"):
        network = OmgSeg()
    published = json.loads((fixture.FOLDER / "keys.json").read_text())
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == {name: entry["shape"] for name, entry in published.items()}


@needs_fixture
def test_inputs_are_the_stored_ones():
    cases = fixture.cases()
    assert fixture.crc(fixture.picture("image.png")) == cases["image_crc32"]
    assert [fixture.crc(one) for one in cases["video/resized"]] == list(
        cases["video/resized_crc32"]
    )
    assert Framing.fitting(427, 640, 512) == IMAGE
    assert Framing.fitting(180, 320, 256) == VIDEO
    close(fixture.pixels(cases["resized"][None], IMAGE)[0, :, ::8, ::8], cases["input_sub"], 1e-6)


def check_fusion(case: str, logits: torch.Tensor, masks: torch.Tensor) -> None:
    cases = fixture.cases()
    values = fuse_panoptic(logits, masks, IMAGE, THINGS).values().numpy()
    assert (values == cases[f"{case}/panoptic"]).mean() >= 0.999
    instances = fuse_instances(logits, masks, IMAGE, THINGS)

    def rows(labels, boxes, areas, scores):
        table = np.column_stack([labels, boxes, areas, scores])
        return table[np.lexsort(table[:, 5::-1].T)]

    found = rows(
        [one.label for one in instances],
        [one.box for one in instances],
        [one.area for one in instances],
        [one.score for one in instances],
    )
    names = ("labels", "boxes", "area", "scores")
    truth = rows(*(cases[f"{case}/ins_{name}"] for name in names))
    close(found[:, :5], truth[:, :5], 0)
    close(found[:, 6], truth[:, 6], 1e-3)
    # The masks themselves may differ in pixels on the threshold.
    assert (np.abs(found[:, 5] - truth[:, 5]) <= np.maximum(0.001 * truth[:, 5], 2)).all()


@needs_fixture
def test_fusion_alone_agrees():
    cases = fixture.cases()
    height, width = IMAGE.padded
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    circles = [
        (60 - (0.5 + a) * torch.hypot(x - cx * width, y - cy * height)) / 8
        for cx, cy, a in cases["synthetic/circles"].tolist()
    ]
    check_fusion("synthetic", torch.from_numpy(cases["synthetic/mask_cls"]), torch.stack(circles))


@needs_fixture
def test_matching_alone_agrees():
    cases = fixture.cases()
    target, current = (
        torch.from_numpy(cases[f"match_synth/{name}"]).float() for name in ("target", "current")
    )
    assert matched(target, current) == cases["match_synth/perm"].tolist()
    first, second = (torch.from_numpy(cases[f"video/query{clip}"]) for clip in (0, 1))
    order = matched(first, second)
    assert order == cases["video/perm"].tolist()
    assert order != list(range(300))
    cosines = torch.nn.functional.cosine_similarity(first, second[order])
    assert float((1 - cosines).sum()) == pytest.approx(cases["video/match_cost_total"], abs=1e-3)


# --- The full network, once ---


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> OmgSeg:
    """Loaded as a user's files are."""
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.mktemp("published")) as folder:
        return load_omgseg(*fixture.save_published(Path(folder)))


@pytest.fixture(scope="module")
def levels(full) -> list[torch.Tensor]:
    pixels = fixture.pixels(fixture.cases()["resized"][None], IMAGE)
    with torch.inference_mode():
        return list(convnext_levels(full.visual, pixels))


@pytest.fixture(scope="module")
def features(full) -> ClipFeatures:
    with torch.inference_mode():
        return full.encode(fixture.pixels(fixture.cases()["resized"][None], IMAGE))


@pytest.fixture(scope="module")
def found(full, features) -> Found:
    with torch.inference_mode():
        return full.decode(features)


@pytest.fixture(scope="module")
def scores() -> NameScores:
    return NameScores(Names.of(fixture.cases()["class_embed"]), CPU)


@needs_fixture
@pytest.mark.slow
@pytest.mark.timeout(900)
class TestFull:
    def test_backbone_agrees(self, levels):
        cases = fixture.cases()
        for level, (found, channels) in enumerate(zip(levels, (8, 16, 32, 64), strict=True)):
            step = 8 >> level
            close(statistics(found), cases[f"backbone_feat{level}_chan"], 1e-4)
            close(found[0, ::channels, ::step, ::step], cases[f"backbone_feat{level}_sub"], 2e-3)

    def test_pixel_decoder_agrees(self, features):
        cases = fixture.cases()
        close(statistics(features.pixels), cases["mask_features_chan"], 1e-4)
        close(features.pixels[0, ::16, ::2, ::2], cases["mask_features_sub"], 1e-4)
        for level, (memory, step) in enumerate(zip(features.memory, (1, 1, 2), strict=True)):
            close(statistics(memory), cases[f"memory{level}_chan"], 1e-4)
            close(memory[0, ::16, ::step, ::step], cases[f"memory{level}_sub"], 1e-4)

    def test_every_layer_agrees(self, full, features, scores):
        cases = fixture.cases()
        with torch.inference_mode():
            states = list(full.panoptic_head.states(features))
            assert len(states) == 10
            for layer in (0, 1, 4, 9):
                read = full.panoptic_head.read(states[layer], features)
                masks = read.masks[:, 0]
                mostly_close(scores(read.vectors), cases[f"layer{layer}/cls_logits"])
                close(read.quality, cases[f"layer{layer}/iou_logit"], 1e-4)
                close(masks[::12, ::4, ::4], cases[f"layer{layer}/mask_sub"], 2e-3)
                moments = torch.stack([masks.mean((1, 2)), masks.flatten(1).std(1, unbiased=False)])
                close(moments, cases[f"layer{layer}/mask_mean_std"], 2e-3)
                areas = (masks > 0).sum((1, 2)).numpy()
                assert np.abs(areas - cases[f"layer{layer}/mask_area"]).max() <= 2

    def test_what_is_found_agrees(self, found, scores):
        cases = fixture.cases()
        close(found.masks[cases["open_queries"], 0], cases["open_masks"], 2e-3)
        mostly_close(found.queries, cases["query_feat"])
        mostly_close(scores(found.vectors), cases["mask_cls_results"])
        close(found.quality[:, None], cases["iou_results"], 1e-4)

    def test_segments_agree(self, found, scores):
        check_fusion("plain", scores(found.vectors), found.masks[:, 0])

    def test_ensemble_agrees(self, full, features, found, scores):
        cases = fixture.cases()
        with torch.inference_mode():
            sums, counts = full.clip_sums(features, found.masks)
            vectors = full.clip_vectors(sums, counts)
            clip = scores(vectors)
            mixed = with_clip(scores(found.vectors), clip, counts, cases["overlapping"].tolist())
        mostly_close(vectors[::4], cases["clip_mask_pooled_embed_sub"])
        mostly_close(clip, cases["clip_logits"])
        mostly_close(mixed, cases["ensemble_logprob"])
        check_fusion("ensemble", mixed, found.masks[:, 0])

    def test_clicks_agree(self, full, features, scores):
        cases = fixture.cases()
        ratio = torch.tensor([512 / 640, 342 / 427])
        clicks = torch.from_numpy(cases["interactive/points_original"]).float() * ratio
        boxes = torch.from_numpy(cases["interactive/boxes_resized"])
        close(click_boxes(clicks), boxes.numpy(), 0.5)  # the original scales both axes alike
        with torch.inference_mode():
            found = full.locate(features, IMAGE.fractions(boxes))
            large = torch.nn.functional.interpolate(
                found.masks[:, 0][None], IMAGE.padded, mode="bilinear", align_corners=False
            )[0]
        mostly_close(scores(found.vectors), cases["interactive/cls_logits"])
        close(found.quality[:, None], cases["interactive/iou"], 1e-3)
        close(large[:, ::4, ::4], cases["interactive/mask_logits_sub"], 2e-3)
        masks = np.unpackbits(cases["interactive/masks_packed"], axis=-1)[..., :640].astype(bool)
        for one, truth in zip(render(found.masks[:, 0], IMAGE, range(3)), masks, strict=True):
            same_mask(one.numpy(), truth)

    def test_each_click_is_answered_for_itself(self, full, features):
        boxes = IMAGE.fractions(torch.from_numpy(fixture.cases()["interactive/boxes_resized"]))
        with torch.inference_mode():
            together = full.locate(features, boxes)
            alone = full.locate(features, boxes[1:2])
        close(alone.masks[0], together.masks[1].numpy(), 2e-3)

    def test_video_agrees(self, full, scores):
        """Two clips, and a permutation between them that is not the identity."""
        cases, tracks, clips, begin = fixture.cases(), Tracks(), [], 0
        pixels = fixture.pixels(cases["video/resized"], VIDEO)
        for number, end in enumerate(clip_ends(4, 2)):
            with torch.inference_mode():
                found = full.decode(full.encode(pixels[begin:end]))
                ordered, order = tracks.follow(found, scores(found.vectors))
            mostly_close(found.queries, cases[f"video/query{number}"])
            clips.append(ordered.masks)
            begin = end
        assert order == cases["video/perm"].tolist()
        mostly_close(tracks.logits, cases["video/cls_mean"])
        mostly_close(tracks.quality[:, None], cases["video/iou_mean"])
        masks = torch.cat(clips, 1)
        large = torch.nn.functional.interpolate(
            masks, VIDEO.padded, mode="bilinear", align_corners=False
        )
        close(large[::20, :, ::4, ::4], cases["video/mask_sub"], 2e-3)
        areas = (large > 0).sum((2, 3)).numpy()
        assert np.abs(areas - cases["video/mask_area"]).max() <= 2
        for frame in range(4):
            segments = fuse_panoptic(tracks.logits, masks[:, frame], VIDEO, THINGS)
            values = segments.values().numpy()
            assert (values == cases["video/panoptic"][frame]).mean() >= 0.999
            objects = fuse_instances(tracks.logits, masks[:, frame], VIDEO, THINGS)
            labels = sorted(one.label for one in objects)
            assert labels == sorted(cases["video/ins_labels"][frame].tolist())
            assert cases["video/ins_ids"][frame].tolist() == list(range(1, len(objects) + 1))


# --- Files ---


@pytest.fixture(scope="module")
def narrow_files(tmp_path_factory) -> tuple[Path, Path]:
    folder, network = tmp_path_factory.mktemp("narrow"), narrow_omgseg()
    state = network.state_dict()
    parts = {
        name: {key: value for key, value in state.items() if key.startswith(name)}
        for name in ("visual.", "panoptic_head.")
    }
    tower, head = folder / "tower.bin", folder / "head.pth"
    # open_clip's file has a text tower beside the images'.
    torch.save(parts["visual."] | {"text_projection": torch.zeros(3, 3)}, tower)
    torch.save({"state_dict": parts["panoptic_head."]}, head)
    return tower, head


class TestFiles:
    def test_the_published_layout_is_loaded(self, narrow_files):
        loaded, pixels = load_omgseg(*narrow_files, NARROW), torch.randn(1, 3, 64, 96)
        with torch.inference_mode():
            masks = [net.decode(net.encode(pixels)).masks for net in (loaded, narrow_omgseg())]
        assert torch.equal(*masks)

    def test_other_sizes_are_refused(self, narrow_files):
        with pytest.raises(ModelError, match=r"head\.pth.* of another shape.*Nothing was loaded"):
            load_omgseg(*narrow_files, replace(NARROW, queries=21))
        with pytest.raises(ModelError, match="of CLIP's ConvNeXt-L"):
            load_omgseg(*narrow_files, PUBLISHED)

    def test_files_in_the_wrong_places_are_refused(self, narrow_files):
        tower, head = narrow_files
        with pytest.raises(ModelError, match=r"nothing in it is called “visual\.…”"):
            load_omgseg(head, head, NARROW)
        with pytest.raises(ModelError, match=r"nothing in it is called “panoptic_head\.…”"):
            load_omgseg(tower, tower, NARROW)

    def test_a_missing_entry_is_named(self, narrow_files, tmp_path):
        tower, head = narrow_files
        state = torch.load(head, weights_only=True)["state_dict"]
        del state["panoptic_head.pos_linear.bias"]
        torch.save(state, tmp_path / "short.pth")
        with pytest.raises(ModelError, match=r"1 missing, for example “pos_linear\.bias”"):
            load_omgseg(tower, tmp_path / "short.pth", NARROW)


# --- Parts, by hand ---


class TestDeformable:
    generator = torch.Generator().manual_seed(5)
    sizes = ((4, 6), (2, 3))
    values = torch.randn(2, 30, 2, 5, generator=generator)
    places = 1.2 * torch.rand(2, 7, 2, 2, 3, 2, generator=generator) - 0.1
    weights = torch.rand(2, 7, 2, 2, 3, generator=generator)

    def by_hand(self, values, shapes, starts, places, weights, step) -> torch.Tensor:
        """Bilinear sums, written as the definition; also the signature of compiled operators."""
        assert step == len(values)
        batch, asking, heads, levels, points, _ = places.shape
        total = torch.zeros(batch, asking, heads, values.shape[3])
        for index in np.ndindex(batch, asking, heads, levels, points):
            image, query, head, level, _ = index
            height, width = shapes[level].tolist()
            x, y = (places[index] * torch.tensor([width, height]) - 0.5).tolist()
            for row, column in np.ndindex(2, 2):
                i, j = int(np.floor(y)) + row, int(np.floor(x)) + column
                if 0 <= i < height and 0 <= j < width:
                    share = (1 - abs(y - i)) * (1 - abs(x - j)) * weights[index]
                    cell = values[image, int(starts[level]) + i * width + j, head]
                    total[image, query, head] += share * cell
        return total.flatten(2)

    def test_samples_are_the_definition(self):
        shapes, starts = torch.tensor(self.sizes), torch.tensor([0, 24])
        truth = self.by_hand(self.values, shapes, starts, self.places, self.weights, 2)
        found = sample_plainly(self.values, self.sizes, self.places, self.weights)
        close(found, truth.numpy(), 1e-5)

    def test_a_compiled_operator_is_used_only_where_it_agrees(self, monkeypatch, caplog):
        module = ModuleType("MultiScaleDeformableAttention")
        module.ms_deform_attn_forward = self.by_hand
        monkeypatch.setitem(sys.modules, "MultiScaleDeformableAttention", module)
        monkeypatch.setitem(sys.modules, "mmcv", None)
        deformable.compiled_operator.cache_clear()
        assert deformable.compiled_operator(CPU) == self.by_hand
        module.ms_deform_attn_forward = lambda *inputs: self.by_hand(*inputs) * 1.01
        deformable.compiled_operator.cache_clear()
        assert deformable.compiled_operator(CPU) is None
        assert "results differ" in caplog.text
        deformable.compiled_operator.cache_clear()

    def test_an_operator_that_fails_is_not_used(self, caplog):
        def broken(*_):
            raise RuntimeError("not compiled for this device")

        assert not agrees(broken, CPU)
        assert "not compiled for this device" in caplog.text


def test_names_in_batches_are_ranked_alike(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = NameScores(Names(rows, np.array([0, 1, 4])), CPU)
    vectors = torch.from_numpy(rng.normal(size=(9, 5)).astype(np.float32))
    whole = names(vectors)
    monkeypatch.setattr("models.networks.name_scores._CELLS", 20)
    close(names(vectors), whole.numpy(), 1e-4)
    cosines = torch.nn.functional.normalize(vectors, dim=1) @ torch.from_numpy(rows).T
    by_hand = [cosines[:, :1], cosines[:, 1:4], cosines[:, 4:]]
    for column, group in enumerate(by_hand):
        close(whole[:, column], 100.003 * group.amax(1).numpy(), 1e-2)
    assert not whole[:, 3].any()


def blob(framing: Framing, x0: int, y0: int, x1: int, y1: int, inside: float = 8) -> torch.Tensor:
    """Logits at stride 4: a rectangle of cells."""
    logits = torch.full((framing.padded[0] // 4, framing.padded[1] // 4), -8.0)
    logits[y0:y1, x0:x1] = inside
    return logits


class TestFusion:
    framing = Framing((64, 96), (64, 96), (64, 96))

    def logits(self, *labels: int, classes: int = 4, sure: float = 6) -> torch.Tensor:
        return sure * torch.eye(classes + 1)[list(labels)]

    def test_stuff_of_a_class_is_one_segment_and_things_are_not(self):
        masks = torch.stack(
            [blob(self.framing, *box) for box in ((0, 0, 6, 6), (10, 0, 16, 6),
                                                  (0, 8, 6, 14), (10, 8, 16, 14))]
        )  # fmt: skip
        found = fuse_panoptic(self.logits(0, 0, 3, 3), masks, self.framing, things=2)
        assert [one.label for one in found.segments] == [0, 0, 3]
        assert sorted(found.values().unique().tolist()) == [3, 4, 1000, 2000]
        assert sorted(found.labels().unique().tolist()) == [0, 3, 4]
        for number, segment in enumerate(found.segments, 1):
            assert segment.area == int((found.map == number).sum())

    def test_what_is_mostly_hidden_is_left_out(self):
        masks = torch.stack([blob(self.framing, 0, 0, 10, 10), blob(self.framing, 0, 0, 10, 11)])
        logits = self.logits(0, 1)
        logits[1] *= 0.8
        found = fuse_panoptic(logits, masks, self.framing, things=2)
        assert [one.query for one in found.segments] == [0]

    def test_nothing_is_nothing(self):
        masks = torch.stack([blob(self.framing, 0, 0, 10, 10)])
        found = fuse_panoptic(self.logits(4), masks, self.framing, things=2)
        assert not found.segments
        assert not found.map.any()
        sure = Rules(score=0.99999)
        assert not fuse_panoptic(self.logits(0), masks, self.framing, 2, sure).segments

    def test_a_vocabulary_of_one_and_of_very_many(self):
        masks = torch.stack([blob(self.framing, 0, 0, 8, 8), blob(self.framing, 10, 0, 16, 6)])
        one = fuse_panoptic(self.logits(0, 1, classes=1), masks, self.framing, things=1)
        assert [segment.label for segment in one.segments] == [0]
        logits = torch.zeros(2, 20_001)
        logits[0, 19_999], logits[1, 1_500] = 50, 50
        many = fuse_panoptic(logits, masks, self.framing, things=20_000)
        assert [segment.label for segment in many.segments] == [19_999, 1_500]
        assert many.labels().unique().tolist() == [1_500, 19_999, 20_000]
        objects = fuse_instances(logits, masks, self.framing, things=20_000, once=True)
        assert [found.label for found in objects] == [19_999, 1_500]

    def test_objects_are_cut_out(self):
        masks = torch.stack([blob(self.framing, 2, 3, 8, 9), blob(self.framing, 0, 0, 0, 0)])
        found = fuse_instances(self.logits(1, 0), masks, self.framing, things=2, once=True)
        (whole,) = (one for one in found if one.query == 0)
        x0, y0, x1, y1 = whole.box
        assert whole.mask.shape == (y1 - y0, x1 - x0)
        assert whole.area == int(whole.mask.sum()) == 24 * 24 - 4  # without its corners
        (empty,) = (one for one in found if one.query == 1)
        assert (empty.box, empty.area, empty.score) == ((0, 0, 0, 0), 0, 0)

    def test_a_query_has_several_classes_unless_told_once(self):
        masks = torch.stack([blob(self.framing, 0, 0, 8, 8)])
        several = fuse_instances(self.logits(1), masks, self.framing, things=3)
        assert several[0].label == 1
        assert len(several) == 3
        assert len(fuse_instances(self.logits(1), masks, self.framing, things=3, once=True)) == 1

    def test_masks_at_a_point_go_from_part_to_whole(self):
        boxes = ((0, 0, 20, 14), (2, 2, 6, 6), (10, 10, 14, 14), (1, 1, 10, 10))
        masks = torch.stack([blob(self.framing, *box) for box in boxes])
        assert covering(masks, self.framing, 17, 17) == [1, 3, 0]
        assert covering(masks, self.framing, -5, -3) == [0]

    @pytest.mark.parametrize("size", [(1, 1), (200, 20_000), (3, 5)])
    def test_odd_sizes(self, size):
        framing = Framing.fitting(*size, 128)
        masks = torch.full((2, framing.padded[0] // 4, framing.padded[1] // 4), 4.0)
        found = fuse_panoptic(self.logits(0, 4), masks, framing, things=2)
        assert found.map.shape == size
        assert (found.map == 1).all()

    def test_a_long_side_and_a_short_one(self):
        assert Framing.fitting(600, 1000, 1333, 800).resized == (800, 1333)
        assert Framing.fitting(500, 2000, 1333, 800).resized == (333, 1333)
        assert Framing.fitting(500, 2000, 1333, 800).padded == (352, 1344)


class TestEnsemble:
    def test_classes_are_seen_by_any_of_their_names(self):
        assert seen_classes([["Cat", "kitty"], ["axolotl"]], {"cat"}) == [True, False]

    def test_clip_counts_more_for_unseen_names(self):
        own, clip = torch.zeros(1, 3), torch.tensor([[4.0, 0.0, 0.0]])
        shares = [
            with_clip(own, clip, torch.tensor([9.0]), [flag, flag])[0] for flag in (True, False)
        ]
        assert [float(one[0] - one[1]) for one in shares] == pytest.approx([1.6, 3.2], abs=1e-3)

    def test_clip_is_not_asked_about_what_it_cannot_see(self):
        own, clip = torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([[-9.0, 9.0, 0.0]])
        found = with_clip(own, clip, torch.tensor([0.0]), [False, False])
        assert float(found[0, 0] - found[0, 1]) == pytest.approx(1, abs=1e-3)
        assert found.exp().sum() == pytest.approx(1, abs=1e-4)


class TestSequences:
    framing = Framing((64, 96), (64, 96), (64, 96))

    def test_clips(self):
        assert clip_ends(4, 2) == [2, 4]
        assert clip_ends(10, 3) == [3, 6, 8, 10]
        assert clip_ends(11, 5) == [5, 10, 11]
        assert clip_ends(1, 5) == [1]
        with pytest.raises(ValueError, match="frames"):
            clip_ends(0, 5)

    def found(self, queries: torch.Tensor, masks: torch.Tensor, quality=None) -> Found:
        count = len(queries)
        quality = torch.zeros(count) if quality is None else torch.tensor(quality)
        return Found(queries, torch.zeros(count, 3), quality, masks)

    def test_ids_survive_changing_orders(self):
        generator = torch.Generator().manual_seed(2)
        queries, tracks = torch.randn(6, 8, generator=generator), Tracks()
        boxes = [(3 * i, 0, 3 * i + 2, 4) for i in range(6)]
        masks = torch.stack([blob(self.framing, *box) for box in boxes])[:, None]
        truth = torch.arange(6.0)
        for clip in range(5):
            order = torch.randperm(6, generator=generator) if clip else torch.arange(6)
            noise = 0.1 * torch.randn(6, 8, generator=generator)
            found = self.found((queries + noise)[order], masks[order], truth[order].tolist())
            logits = torch.nn.functional.pad(truth[order][:, None], (0, 1))
            ordered, _ = tracks.follow(found, logits)
            assert torch.equal(ordered.masks, masks)
        assert torch.equal(tracks.logits[:, 0], truth)
        assert torch.equal(tracks.quality, truth)

    def test_given_masks_choose_queries_and_are_refused_below_a_threshold(self):
        boxes = ((0, 0, 8, 8), (10, 0, 18, 8), (0, 9, 8, 16))
        masks = torch.stack([blob(self.framing, *box) for box in boxes])[:, None]
        first = self.found(torch.eye(3), masks, [0.0, 2.0, 1.0])
        given = list(render(masks[:, 0], self.framing, [2, 0]))
        other = torch.zeros(64, 96, dtype=torch.bool)
        other[50:60, 80:96] = True
        starts = start_from(first, self.framing, [*given, other])
        assert [start.query for start in starts] == [2, 0, None]
        assert [start.overlap for start in starts] == pytest.approx([1, 1, 0])
        # The query with the worst quality is no proposal when only two are considered.
        starts = start_from(first, self.framing, given, proposals=2)
        assert [start.query for start in starts] == [2, None]
        assert start_from(first, self.framing, []) == []

    def test_the_better_mask_is_seen(self):
        masks = torch.stack([blob(self.framing, 0, 0, 8, 8), blob(self.framing, 4, 0, 12, 8)])
        found = painted(masks, self.framing, {0: 7, 1: 5}, torch.tensor([1.0, 0.0]))
        assert found[10, 20] == 7
        assert found[10, 40] == 5
        assert found[60, 90] == 0


class TestNarrow:
    """What needs no fixture: the same code with few channels and random weights."""

    net = narrow_omgseg()

    def test_shapes(self):
        pixels = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            features = self.net.encode(pixels)
            found = self.net.decode(features)
            sums, counts = self.net.clip_sums(features, found.masks)
            vectors = self.net.clip_vectors(sums, counts)
        assert features.pixels.shape == (3, 64, 16, 24)
        assert [tuple(level.shape) for level in features.memory] == [
            (3, 64, 2, 3), (3, 64, 4, 6), (3, 64, 8, 12)
        ]  # fmt: skip
        assert found.masks.shape == (20, 3, 16, 24)
        assert found.vectors.shape == vectors.shape == (20, 24)
        assert found.queries.shape == (20, 64)

    def test_a_frame_sees_the_others_of_its_clip(self):
        pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            both = self.net.decode(self.net.encode(pixels)).masks[:, 0]
            alone = self.net.decode(self.net.encode(pixels[:1])).masks[:, 0]
        assert (both - alone).abs().max() > 1e-4

    def test_encoding_says_what_it_does(self):
        steps = list(self.net.encoding(torch.zeros(2, 3, 32, 32)))
        assert steps == ["backbone"] * 4 + ["pixel decoder"] * 2
        assert len(steps) == self.net.step_count

    def test_the_backbone_stays_frozen_and_the_head_learns(self):
        found = self.net.decode(self.net.encode(torch.randn(1, 3, 32, 64)))
        (found.masks.mean() + found.vectors.mean() + found.quality.mean()).backward()
        assert all(value.grad is None for value in self.net.visual.parameters())
        learnt = [
            name for name, value in self.net.panoptic_head.named_parameters()
            if value.grad is not None
        ]  # fmt: skip
        assert "pixel_decoder.mask_feature.weight" in learnt
        assert "query_feat.weight" in learnt
        self.net.zero_grad()
