"""The full EdgeSAM network against the fixtures, and a narrow one everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch  # noqa: TID253

from models.networks.edgesam import EdgeSam, merge_branches, narrow_edge_sam
from models.networks.sam import select_tokens, stability_score
from models.transforms import Frame, full_mask, network_input
from tests.models import edgesam_fixture as fixture
from tests.models.edgesam_fixture import needs_fixture

FRAME = Frame(640, 480)


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.from_numpy(network_input(fixture.image(), FRAME))


@pytest.fixture(scope="module")
def stages(image) -> dict[str, torch.Tensor]:
    encoder = fixture.network().image_encoder
    with torch.no_grad():
        found = dict(
            zip(["stem", *(f"stage{i}" for i in range(4))], encoder.stages(image), strict=True)
        )
        found["fuse_stage2"] = encoder.fuse_stage2(found["stage2"])
        for mode in ("bilinear", "bicubic"):
            encoder.fuse_stage3.mode = mode
            found["fuse_stage3"] = encoder.fuse_stage3(found["stage3"])
            fused = found["fuse_stage2"] + found["fuse_stage3"]
            found[f"embedding_{mode}"] = encoder.neck(fused)
    return found


def channel_statistics(x: torch.Tensor) -> np.ndarray:
    flat = x[0].double().flatten(1)
    return torch.stack([flat.mean(1), flat.std(1, unbiased=False)]).numpy()


def close(actual, expected, tolerance) -> None:
    actual = actual.numpy() if isinstance(actual, torch.Tensor) else actual
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@needs_fixture
@pytest.mark.parametrize(
    "name", ["stem", *(f"stage{i}" for i in range(4)), "fuse_stage2", "fuse_stage3"]
)
def test_every_part_of_the_encoder_agrees(stages, name):
    cases, found = fixture.cases(), stages[name]
    assert tuple(found.shape) == tuple(cases[f"enc/{name}_shape"])
    step = max(1, found.shape[-1] // 16)
    close(channel_statistics(found), cases[f"enc/{name}_chan"], 1e-4)
    close(found[0, ::8, ::step, ::step], cases[f"enc/{name}_sub"], 2e-3)


@needs_fixture
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_embedding_agrees(stages, mode):
    found, cases = stages[f"embedding_{mode}"], fixture.cases()
    close(channel_statistics(found), cases[f"embedding_{mode}_chan"], 1e-4)
    close(found[0, ::4, 1::3, 1::3], cases[f"embedding_{mode}_sub"], 1e-4)


@needs_fixture
def test_encoder_input_agrees(image):
    close(image[0, :, ::16, ::16], fixture.cases()["encoder_input_sub"], 1e-6)


@needs_fixture
def test_dense_positions_agree():
    found = fixture.network().prompt_encoder.dense_positions()
    close(found[0, ::8, ::8, ::8], fixture.cases()["dense_pe_sub"], 1e-5)


def prompts(case: str) -> dict[str, torch.Tensor]:
    """The arguments of `EdgeSam.decode` for a case, in the frame of the network."""
    cases, arguments = fixture.cases(), {}
    if f"{case}/point_coords" in cases:
        coords = FRAME.to_frame(cases[f"{case}/point_coords"])
        labels = torch.from_numpy(cases[f"{case}/point_labels"])
        arguments["points"] = (torch.from_numpy(coords)[None], labels[None])
    if f"{case}/box" in cases:
        corners = FRAME.to_frame(cases[f"{case}/box"].reshape(2, 2))
        arguments["boxes"] = torch.from_numpy(corners.reshape(1, 4))
    if f"{case}/mask_input_from" in cases:
        name, channel = cases[f"{case}/mask_input_from"]
        earlier = cases[f"{name}/low_res_masks"][int(channel)]
        arguments["masks"] = torch.from_numpy(earlier)[None, None]
    return arguments


@needs_fixture
@pytest.mark.parametrize("case", fixture.SETS)
def test_prompt_tokens_agree(case):
    sparse, dense = fixture.network().prompt_encoder(**prompts(case))
    close(sparse, fixture.cases()[f"{case}/sparse_embeddings"], 1e-4)
    if f"{case}/mask_input_from" in fixture.cases():
        close(dense[0, ::8, ::4, ::4], fixture.cases()[f"{case}/dense_embeddings_sub"], 1e-4)


@needs_fixture
@pytest.mark.parametrize("case", fixture.SETS)
def test_decoder_agrees(stages, case):
    cases = fixture.cases()
    logits, quality = fixture.network().decode(stages["embedding_bicubic"], **prompts(case))
    close(logits[0], cases[f"{case}/low_res_masks"], 1e-3)
    close(quality[0], cases[f"{case}/iou_predictions"], 1e-4)
    close(stability_score(logits)[0], cases[f"{case}/stability"], 1e-4)
    masks = [full_mask(one, FRAME) for one in logits[0].numpy()]
    areas = np.array([mask.sum() for mask in masks])
    assert np.abs(areas - cases[f"{case}/masks_area"]).max() <= 1e-4 * 640 * 480
    if f"{case}/masks_packed" in cases:
        assert np.mean(np.stack(masks) != fixture.unpacked(case)) <= 1e-4


@needs_fixture
def test_boxes_in_one_batch_agree(stages):
    cases = fixture.cases()
    corners = FRAME.to_frame(cases["boxes_batch/box"].reshape(-1, 2, 2)).reshape(-1, 4)
    logits, quality = fixture.network().decode(
        stages["embedding_bicubic"], boxes=torch.from_numpy(corners), num_multimask_outputs=1
    )
    close(logits[:, :, ::2, ::2], cases["boxes_batch/low_res_masks_sub"], 1e-3)
    close(quality, cases["boxes_batch/iou_predictions"], 1e-4)


@needs_fixture
def test_decoder_alone_agrees():
    cases = fixture.cases()
    embedding = fixture.generator().tensor("input.image_embedding", (1, 256, 64, 64))
    logits, quality = fixture.network().decode(torch.from_numpy(embedding), **prompts("posneg"))
    close(logits[0, :, ::4, ::4], cases["isolated_decoder/low_res_masks_sub"], 1e-3)
    close(quality[0], cases["isolated_decoder/iou_predictions"], 1e-4)


@needs_fixture
def test_merging_the_branches_is_exact(image, stages):
    net = EdgeSam().eval()
    net.load_state_dict(fixture.network().state_dict())
    merge_branches(net.image_encoder)
    assert sum(p.numel() for p in net.image_encoder.parameters()) == 5_485_896
    with torch.no_grad():
        close(net.image_encoder(image), stages["embedding_bicubic"].numpy(), 1e-4)


def test_parameters_are_counted_as_published():
    with torch.device("meta"):
        net = EdgeSam()
    assert len(net.state_dict()) == 821
    counts = [
        sum(p.numel() for p in part.parameters())
        for part in (net.image_encoder, net.prompt_encoder, net.mask_decoder)
    ]
    assert counts == [5_517_552, 6_220, 4_058_340]


class TestNarrow:
    """What needs no fixture: the same code with few channels and random weights."""

    net = narrow_edge_sam()
    pixels = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(1))

    def embedding(self) -> torch.Tensor:
        with torch.no_grad():
            return self.net.image_encoder(self.pixels)

    def test_shapes(self):
        boxes = torch.tensor([[10.0, 20.0, 300.0, 400.0], [0.0, 0.0, 50.0, 60.0]])
        for count in (1, 3, 4):
            logits, quality = self.net.decode(
                self.embedding(), boxes=boxes, num_multimask_outputs=count
            )
            assert logits.shape == (2, count, 256, 256)
            assert quality.shape == (2, count)

    def test_other_numbers_of_masks_are_refused(self):
        with pytest.raises(ValueError, match="1, 3 or 4, not 2"):
            select_tokens(2)

    def test_upsampling_modes_differ(self):
        net = narrow_edge_sam()
        assert net.upsampling == "bicubic"
        net.upsampling = "bilinear"
        with torch.no_grad():
            other = net.image_encoder(self.pixels)
        assert (other - self.embedding()).abs().max() > 1e-3

    def test_merging_keeps_the_embedding(self):
        net = narrow_edge_sam()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        with torch.no_grad():
            before = net.image_encoder(self.pixels)
            after = merge_branches(net).image_encoder(self.pixels)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
        torch.testing.assert_close(after, before, rtol=0, atol=1e-4)

    def test_padding_token_belongs_to_points_without_a_box(self):
        points = (torch.tensor([[[5.0, 6.0]]]), torch.tensor([[1]]))
        box = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        encode = self.net.prompt_encoder
        assert encode(points=points)[0].shape[1] == 2
        assert encode(points=points, boxes=box)[0].shape[1] == 3
        padding = encode(points=points)[0][:, 1]
        torch.testing.assert_close(padding, encode.not_a_point_embed.weight)

    def test_ignored_click_is_a_zero_token(self):
        points = (torch.tensor([[[5.0, 6.0]]]), torch.tensor([[-2]]))
        assert not self.net.prompt_encoder(points=points)[0][:, 0].any()

    def test_stability_of_an_empty_mask_is_not_a_number(self):
        score = stability_score(torch.stack([torch.full((4, 4), -5.0), torch.full((4, 4), 5.0)]))
        assert torch.isnan(score[0])
        assert score[1] == 1
