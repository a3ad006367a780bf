"""The EdgeSAM segmenter: rules, bad input, and the fixtures end to end."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch  # noqa: TID253

from models import everything, registry
from models.api import (
    BatchSegmenter,
    Box,
    CachedSegmenter,
    Embedding,
    ModelError,
    Point,
    Prompt,
    Segmenter,
)
from models.edgesam import graphs
from models.edgesam.segmenter import EdgeSamSegmenter, ranked
from models.networks.edgesam import narrow_edge_sam
from models.networks.edgesam.export import export_all, export_encoder
from models.networks.folded import export_plain
from models.onnx_session import open_session
from models.questions import ask
from models.segmenters.edgesam import SPECS
from models.transforms import Frame, full_mask, network_input
from tests.models import edgesam_fixture as fixture
from tests.models.edgesam_fixture import needs_fixture

pytest.importorskip("onnx", reason="exporting needs the package onnx")

SPEC = SPECS[0]
WIDTH, HEIGHT = 300, 200
FRAME = Frame(WIDTH, HEIGHT)
EMBEDDINGS = {"image_embeddings": [1, 256, 64, 64]}
POINTS = {"point_coords": [1, "num_points", 2], "point_labels": [1, "num_points"]}
MASKS = {"scores": [1, 4], "masks": [1, 4, 256, 256]}


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> EdgeSamSegmenter:
    folder = tmp_path_factory.mktemp("narrow")
    export_all(narrow_edge_sam(3), folder)
    return EdgeSamSegmenter(SPEC, graphs.Graphs(folder / "encoder.onnx", folder, "narrow"))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def embedding(segmenter, picture) -> Embedding:
    return segmenter.encode(picture)


def same(left, right) -> bool:
    return len(left) == len(right) and all(
        np.allclose(a.logits, b.logits, atol=1e-4) and a.extent == b.extent
        for a, b in zip(left, right, strict=True)
    )


class TestRules:
    def test_it_is_a_segmenter(self, segmenter):
        assert isinstance(segmenter, Segmenter)
        assert isinstance(segmenter, CachedSegmenter)
        assert segmenter.spec is SPEC

    def test_both_are_registered(self):
        assert {"edgesam", "edgesam-3x"} <= set(registry.segmenters())

    def test_points_give_four_candidates_best_first_then_by_size(self, segmenter, embedding):
        found = segmenter.decode(embedding, Prompt((Point(150, 100),)))
        assert len(found) == 4
        assert found[0].score == max(candidate.score for candidate in found)
        areas = [np.count_nonzero(candidate.logits > 0) for candidate in found[1:]]
        assert areas == sorted(areas)

    def test_a_box_gives_one(self, segmenter, embedding):
        box = Box(50, 40, 200, 150)
        assert len(segmenter.decode(embedding, Prompt(box=box))) == 1
        assert len(segmenter.decode(embedding, Prompt((Point(100, 100),), box))) == 1

    def test_only_negative_points_give_nothing(self, segmenter, embedding):
        assert segmenter.decode(embedding, Prompt((Point(5, 5, positive=False),))) == ()
        assert segmenter.decode(embedding, Prompt()) == ()

    def test_batches_answer_like_single_prompts(self, segmenter, embedding):
        prompts = [Prompt(box=Box(10 + 9 * i, 20, 60 + 12 * i, 90 + 5 * i)) for i in range(6)]
        prompts.insert(2, Prompt((Point(30, 40),)))
        prompts.insert(4, Prompt((Point(1, 2, positive=False),)))
        many = segmenter.decode_many(embedding, prompts)
        assert [len(found) for found in many] == [1, 1, 4, 1, 0, 1, 1, 1]
        for prompt, found in zip(prompts, many, strict=True):
            assert same(found, segmenter.decode(embedding, prompt))

    def test_everything_mode_asks_in_batches(self, segmenter, embedding, monkeypatch):
        assert isinstance(segmenter, BatchSegmenter)
        options = everything.Options(3, 0.0, 0.0, min_area=1, max_share=1.0)
        (*_, batched) = everything.steps(segmenter, embedding, options)
        monkeypatch.setattr(everything, "MOST_PROMPTS", 1)
        (*_, single) = everything.steps(segmenter, embedding, options)
        assert batched.total == single.done == 9
        assert len(batched.found) > 3
        for one, other in zip(batched.found, single.found, strict=True):
            assert one.prompt == other.prompt
            assert one.rank == pytest.approx(other.rank, abs=1e-3)

    def test_an_embedding_from_a_cache_has_no_image_side(self, segmenter, embedding):
        bare = Embedding(SPEC.id, WIDTH, HEIGHT, {"image": embedding.arrays["image"]})
        prompt = Prompt((Point(70, 80),))
        expected = segmenter.decode(embedding, prompt)
        assert same(segmenter.decode(bare, prompt), expected)
        assert set(segmenter.complete(bare).arrays) == set(embedding.arrays)
        half = Embedding(
            SPEC.id, WIDTH, HEIGHT, {"image": embedding.arrays["image"].astype(np.float16)}
        )
        assert len(segmenter.decode(half, prompt)) == 4

    def test_render_has_the_size_of_the_image(self, segmenter, embedding):
        candidate = segmenter.decode(embedding, Prompt((Point(70, 80),)))[0]
        mask = segmenter.render(embedding, candidate)
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.dtype == np.bool_

    def test_the_image_is_not_changed(self, segmenter, picture):
        before = picture.copy()
        segmenter.encode(picture)
        np.testing.assert_array_equal(picture, before)

    def test_masks_equal_those_of_torch(self, segmenter, embedding, picture):
        network = narrow_edge_sam(3)
        with torch.no_grad():
            image = network.image_encoder(torch.from_numpy(network_input(picture, FRAME)))
            corners = FRAME.to_frame(np.array([[50.0, 40.0], [200.0, 150.0]]))
            logits, _ = network.decode(image, boxes=torch.from_numpy(corners.reshape(1, 4)))
        np.testing.assert_allclose(embedding.arrays["image"], image[0], rtol=0, atol=5e-4)
        (found,) = segmenter.decode(embedding, Prompt(box=Box(50, 40, 200, 150)))
        expected = full_mask(logits[0, 0].numpy(), FRAME)
        assert np.mean(segmenter.render(embedding, found) != expected) <= 2e-3


class TestBadInput:
    def test_prompts_outside_the_image_are_moved_to_its_edge(self, segmenter, embedding):
        outside = segmenter.decode(embedding, Prompt((Point(-50, 900),)))
        assert same(outside, segmenter.decode(embedding, Prompt((Point(0, HEIGHT),))))
        outside = segmenter.decode(embedding, Prompt(box=Box(100, 100, 9000, 9000)))
        edge = segmenter.decode(embedding, Prompt(box=Box(100, 100, WIDTH, HEIGHT)))
        assert same(outside, edge)

    def test_swapped_corners_mean_the_same_box(self, segmenter, embedding):
        swapped = segmenter.decode(embedding, Prompt(box=Box(200, 150, 50, 40)))
        assert same(swapped, segmenter.decode(embedding, Prompt(box=Box(50, 40, 200, 150))))

    def test_a_box_without_area_is_a_click(self, segmenter, embedding):
        flat = segmenter.decode(embedding, Prompt(box=Box(60, 40, 60, 140)))
        assert same(flat, segmenter.decode(embedding, Prompt((Point(60, 90),))))

    def test_an_empty_mask_comes_last(self):
        logits = np.full((4, 8, 8), -9, np.float32)
        logits[1] = 9
        logits[3, :2] = 9
        logits[3, 2:4] = 0.5
        found = ranked(logits, FRAME.extent)
        sizes = [np.count_nonzero(candidate.logits > 0) for candidate in found]
        assert sizes == [64, 32, 0, 0]
        assert [candidate.score for candidate in found] == [1, 0.5, 0, 0]

    def test_only_empty_masks(self):
        found = ranked(np.full((1, 8, 8), -9, np.float32), FRAME.extent)
        assert [candidate.score for candidate in found] == [0]

    def test_damaged_embeddings_are_refused(self, segmenter, embedding):
        image = embedding.arrays["image"].copy()
        image[3, 4, 5] = np.nan
        broken = Embedding(SPEC.id, WIDTH, HEIGHT, {"image": image})
        with pytest.raises(ModelError, match="not numbers"):
            segmenter.decode(broken, Prompt((Point(30, 30),)))

    def test_an_encoder_without_numbers_is_refused(self, tmp_path, picture, segmenter):
        network = narrow_edge_sam()
        with torch.no_grad():
            network.image_encoder.neck[1].weight.fill_(np.nan)
        export_encoder(network, tmp_path / "encoder.onnx")
        other = EdgeSamSegmenter(
            SPEC, graphs.Graphs(tmp_path / "encoder.onnx", segmenter._graphs.decoder, "nan")
        )
        with pytest.raises(ModelError, match="weights are damaged"):
            other.encode(picture)

    def test_tiny_images(self, segmenter):
        embedding = segmenter.encode(np.zeros((1, 1, 3), np.uint8))
        found = segmenter.decode(embedding, Prompt((Point(0.5, 0.5),)))
        assert segmenter.render(embedding, found[0]).shape == (1, 1)


def test_what_has_to_be_exact_follows_the_size_of_the_embedding():
    for side in (1024, 1536):
        frame, grid = Frame(1000, 1000, side), side // 16
        point = ask(Prompt((Point(900, 100), Point(5, 5, positive=False))), frame)
        rows, columns = np.nonzero(point.focus(grid))
        middle = round(0.9 * grid - 0.5), round(0.1 * grid - 0.5)
        assert abs(columns.mean() - middle[0]) <= 1
        assert abs(rows.mean() - middle[1]) <= 1
        assert point.focus(grid).sum() == 25
        box = ask(Prompt(box=Box(900, 100, 950, 200)), frame).focus(grid)
        assert box[round(0.15 * grid), round(0.925 * grid)]
        assert not ask(Prompt(box=Box(0, 0, 1000, 1000)), frame).focus(grid).any()


def test_padding_token_is_added_only_without_a_box():
    click = ask(Prompt((Point(150, 100),)), FRAME)
    assert click is not None
    np.testing.assert_array_equal(click.labels, [1, -1])
    np.testing.assert_array_equal(click.coords[-1], [0, 0])
    both = ask(Prompt((Point(150, 100, positive=False),), Box(0, 0, 300, 200)), FRAME)
    assert both is not None
    np.testing.assert_array_equal(both.labels, [0, 2, 3])
    np.testing.assert_allclose(both.coords[1:], [[0, 0], [1024, 683]])


class TestFiles:
    """Which files are taken, and what is said about the others."""

    @staticmethod
    def session(inputs: dict, outputs: dict):
        values = [
            [SimpleNamespace(name=name, shape=shape) for name, shape in group.items()]
            for group in (inputs, outputs)
        ]
        return SimpleNamespace(get_inputs=lambda: values[0], get_outputs=lambda: values[1])

    def test_the_official_signatures(self):
        encoder = self.session({"image": [1, 3, 1024, 1024]}, EMBEDDINGS)
        graphs.check_encoder(encoder, "x.onnx")
        decoder = self.session({**EMBEDDINGS, **POINTS}, MASKS)
        graphs.check_decoder(decoder, "x.onnx")

    def test_the_encoder_of_x_anylabeling_is_named(self):
        other = self.session({"image": [1, 3, "height", "width"]}, EMBEDDINGS)
        with pytest.raises(ModelError, match=r"X-AnyLabeling.*annotator models get edgesam-3x"):
            graphs.check_encoder(other, "edge_sam_encoder.onnx")

    def test_a_sam_decoder_is_named(self):
        inputs = {**EMBEDDINGS, **POINTS, "mask_input": [1, 1, 256, 256]}
        other = self.session({**inputs, "has_mask_input": [1], "orig_im_size": [2]}, MASKS)
        with pytest.raises(ModelError, match="Segment Anything decoder"):
            graphs.check_decoder(other, "x.onnx")

    def test_other_graphs_are_described(self):
        other = self.session({"pixels": [1, 3, 224, 224]}, {"logits": [1, 1000]})
        for check in (graphs.check_encoder, graphs.check_decoder):
            with pytest.raises(ModelError, match=r"takes pixels .* returns logits"):
                check(other, "x.onnx")

    def test_no_graph_at_all(self, tmp_path):
        path = tmp_path / "x.onnx"
        with pytest.raises(ModelError, match="does not exist"):
            open_session(path)
        path.write_bytes(b"not a graph")
        with pytest.raises(ModelError, match="not a readable ONNX graph"):
            open_session(path)

    def test_a_checkpoint_of_another_network(self, tmp_path):
        path = tmp_path / "sam.pth"
        torch.save({"model": {"image_encoder.pos_embed": torch.zeros(1)}}, path)
        with pytest.raises(ModelError, match="weights of another network, not of EdgeSAM"):
            graphs.from_checkpoint(path, tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_what_is_missing_is_said(self):
        for spec in SPECS:
            assert f"annotator models get {spec.id}" in (spec.available() or "")
            with pytest.raises(ModelError, match="is missing"):
                spec.load()


def prompt_of(case: str) -> Prompt:
    cases = fixture.cases()
    points = ()
    if f"{case}/point_coords" in cases:
        pairs = zip(cases[f"{case}/point_coords"], cases[f"{case}/point_labels"], strict=True)
        points = tuple(Point(float(x), float(y), bool(label)) for (x, y), label in pairs)
    corners = cases.get(f"{case}/box")
    return Prompt(points, None if corners is None else Box(*map(float, corners)))


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> EdgeSamSegmenter:
    folder = tmp_path_factory.mktemp("full")
    state = {name: torch.from_numpy(value) for name, value in fixture.arrays().items()}
    torch.save(state, folder / "edge_sam.pth")
    made = graphs.from_checkpoint(folder / "edge_sam.pth", folder / "cache")
    assert graphs.from_checkpoint(folder / "edge_sam.pth", folder / "cache") == made
    return EdgeSamSegmenter(SPEC, made)


@pytest.fixture(scope="module")
def scene(full) -> Embedding:
    return full.encode(fixture.image())


@needs_fixture
class TestFixtures:
    """The full network with the generated weights, saved as the published file is."""

    def test_embedding(self, scene):
        found = scene.arrays["image"][::4, 1::3, 1::3]
        expected = fixture.cases()["embedding_bicubic_sub"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-4)

    @pytest.mark.parametrize("case", [*fixture.POINTS, *fixture.BOXES])
    def test_masks_from_click_to_pixels(self, full, scene, case):
        cases = fixture.cases()
        found = full.decode(scene, prompt_of(case))
        masks = [full.render(scene, candidate) for candidate in found]
        areas = cases[f"{case}/masks_area"]
        stability = cases[f"{case}/stability"]
        order = [0]
        if len(found) == 4:
            best = int(np.argmax(stability))
            order = [best, *sorted(set(range(4)) - {best}, key=lambda index: areas[index])]
        for number, mask in zip(order, masks, strict=True):
            assert abs(int(mask.sum()) - areas[number]) <= 1e-4 * mask.size
            if f"{case}/masks_packed" in cases:
                assert np.mean(mask != fixture.unpacked(case)[number]) <= 1e-4

    def test_official_onnx_files_run_as_they_are(self, tmp_path):
        network = fixture.network()
        network.upsampling = "bilinear"
        try:
            export_encoder(network, tmp_path / "a.onnx")
            with torch.no_grad():
                pixels = torch.from_numpy(network_input(fixture.image(), Frame(640, 480)))
                image = network.image_encoder(pixels)
                coords = torch.from_numpy(
                    Frame(640, 480).to_frame(fixture.cases()["posneg/point_coords"])
                )
                labels = torch.from_numpy(fixture.cases()["posneg/point_labels"])
                logits, _ = network.decode(image, (coords[None], labels[None]))
        finally:
            network.upsampling = "bicubic"
        export_plain(network.prompt_encoder, network.mask_decoder, tmp_path / "b.onnx")
        made = graphs.from_official(tmp_path / "a.onnx", tmp_path / "b.onnx")
        official = EdgeSamSegmenter(SPEC, made)
        scene = official.encode(fixture.image())
        expected = fixture.cases()["embedding_bilinear_sub"]
        np.testing.assert_allclose(
            scene.arrays["image"][::4, 1::3, 1::3], expected, rtol=0, atol=5e-4
        )
        found = official.decode(scene, prompt_of("posneg"))
        truth = ranked(logits[0].numpy(), Frame(640, 480).extent)
        for candidate, reference in zip(found, truth, strict=True):
            np.testing.assert_allclose(candidate.logits, reference.logits, rtol=0, atol=5e-3)
            assert candidate.score == pytest.approx(reference.score, abs=1e-3)

    def test_a_swapped_pair_is_refused(self, full):
        folder = full._graphs.decoder
        with pytest.raises(ModelError, match="not an EdgeSAM decoder"):
            graphs.from_official(folder / "encoder.onnx", folder / "encoder.onnx").open_decoder()
