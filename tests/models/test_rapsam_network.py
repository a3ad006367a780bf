"""RAP-SAM: the layout of its published code, and what can be checked by hand."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253
from torch.nn import functional  # noqa: TID253

from models.api import ModelError
from models.networks.omgseg import FindsEverything, Framing, narrow_omgseg
from models.networks.omgseg.fusion import fuse_panoptic
from models.networks.rapsam import NARROW, RapSam, narrow_rapsam
from models.networks.rapsam.neck import DeformedStep, Neck
from models.omgseg.loading import load_rapsam


@pytest.fixture(scope="module")
def layout() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in RapSam().state_dict().items()}


def test_layout_is_that_of_the_published_code(layout):
    expected = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
        "neck.deconv.lateral_conv0.weight": (1024, 2048, 1, 1),
        "neck.deconv.deform_conv1.dcn_offset.weight": (27, 1024, 3, 3),
        "neck.deconv.deform_conv1.dcn.weight": (512, 1024, 3, 3),
        "neck.deconv.deform_conv2.dcn_bn.running_var": (256,),
        "neck.deconv.deform_conv3.up_sample.weight": (128, 128, 4, 4),
        "neck.deconv.lateral_conv3.bias": (128,),
        "neck.deconv.conv_a5.weight": (128, 1024, 1, 1),
        "neck.deconv.conv_a2.weight": (128, 128, 1, 1),
        "neck.deconv.bias": (1, 128, 1, 1),
        "neck.deconv.output_conv.weight": (128, 128, 3, 3),
        "neck.loc_conv.weight": (256, 130, 1, 1),
        "panoptic_head.kernels.weight": (100, 256),
        "panoptic_head.mask_heads.0.kernel_update.dynamic_layer.weight": (512, 256),
        "panoptic_head.mask_heads.0.kernel_update.input_norm_out.bias": (256,),
        "panoptic_head.mask_heads.1.s_atten.in_proj_weight": (768, 256),
        "panoptic_head.mask_heads.1.ffn.layers.0.0.weight": (2048, 256),
        "panoptic_head.mask_heads.1.ffn.layers.1.weight": (256, 2048),
        "panoptic_head.mask_heads.2.cls_fcs.0.weight": (256, 256),
        "panoptic_head.mask_heads.2.cls_fcs.1.bias": (256,),
        "panoptic_head.mask_heads.2.cls_proj.4.weight": (768, 256),
        "panoptic_head.mask_heads.2.fc_mask.bias": (256,),
        "panoptic_head.mask_heads.2.iou_embed.4.weight": (1, 256),
        "panoptic_head.panoptic_attn.fc_norm.weight": (256,),
        "panoptic_head.panoptic_cls.0.weight": (768, 256),
        "panoptic_head.prompt_attn.attn.out_proj.weight": (256, 256),
        "panoptic_head.prompt_norm.weight": (256,),
        "panoptic_head.prompt_iou.bias": (1,),
        "panoptic_head.mask_tokens.weight": (1, 256),
        "panoptic_head.pb_embedding.weight": (2, 256),
        "panoptic_head.pos_linear.weight": (256, 512),
    }
    assert {name: layout[name] for name in expected} == expected
    assert "panoptic_head.mask_heads.2.cls_fcs.0.bias" not in layout
    assert not [name for name in layout if "panoptic_norm" in name or ".fc." in name]


def test_parameters_are_counted_by_hand():
    """Layer sizes of the authors' configuration, added up without this program's modules."""

    def linear(inputs: int, outputs: int, bias: bool = True) -> int:
        return inputs * outputs + bias * outputs

    c, d, norm = 256, 768, 2 * 256
    update = 2 * linear(c, 2 * c) + 3 * linear(c, c) + 5 * norm
    attention = 4 * linear(c, c)
    perceptron = 2 * linear(c, c)
    stage = (
        update
        + attention + norm
        + linear(c, 2048) + linear(2048, c) + norm
        + 2 * (linear(c, c, bias=False) + norm)
        + perceptron + linear(c, d)
        + linear(c, c)
        + perceptron + linear(c, 1)
    )  # fmt: skip
    location = c + 2 * c + linear(2 * c, c)
    head = 3 * stage + 100 * c + location + update + linear(c, d) + attention + norm + linear(c, 1)
    steps = 0
    for inputs, outputs in ((1024, 512), (512, 256), (256, 128)):
        steps += linear(9 * inputs, 27) + 9 * inputs * outputs + 16 * outputs**2 + 4 * outputs
    laterals = linear(2048, 1024) + linear(1024, 512) + linear(512, 256) + linear(256, 128)
    neck = laterals + steps + 128 * (1024 + 512 + 256 + 128) + 128
    neck += linear(9 * 128, 128) + linear(130, c)
    resnet = 25_557_032 - linear(2048, 1000)  # ResNet-50 as published, without its classes
    with torch.device("meta"):
        network = RapSam()
    counts = {
        name: sum(value.numel() for value in part.parameters())
        for name, part in network.named_children()
    }
    assert counts == {"backbone": resnet, "neck": neck, "panoptic_head": head}
    assert sum(counts.values()) == 47_252_245


def test_files_are_loaded_key_for_key(tmp_path):
    network, path = narrow_rapsam(3), tmp_path / "rapsam.pth"
    torch.save({"state_dict": network.state_dict(), "meta": {}}, path)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pair = [
            net.decode(net.encode(pixels)).masks for net in (network, load_rapsam(path, NARROW))
        ]
    assert torch.equal(*pair)
    with pytest.raises(ModelError, match=r"rapsam\.pth.*RAP-SAM \(backbone\)"):
        load_rapsam(path)
    torch.save(narrow_omgseg().state_dict(), path)
    with pytest.raises(ModelError, match="RAP-SAM"):
        load_rapsam(path, NARROW)


@pytest.mark.parametrize("network", [narrow_rapsam(), narrow_omgseg()], ids=["rapsam", "omgseg"])
def test_one_interface_for_both(network: FindsEverything):
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.4, 0.2, 0.41, 0.21], [0.0, 0.0, 1.0, 1.0]])
    with torch.inference_mode():
        assert len(list(network.encoding(pixels))) == network.step_count
        found = network.decode(network.encode(pixels))
        image = network.encode(pixels[:1])
        located, alone = network.locate(image, boxes), network.locate(image, boxes[1:2])
    assert found.masks.shape == (len(found.queries), 2, 16, 24)
    assert found.vectors.shape == (len(found.queries), 24)
    assert located.masks.shape == (3, 1, 16, 24)
    assert located.quality.shape == (3,)
    assert torch.allclose(alone.masks[0], located.masks[1], atol=1e-3)
    assert (located.masks[0] - located.masks[1]).abs().max() > 1e-3
    classes = torch.randn(24, 5, generator=torch.Generator().manual_seed(2))
    logits = functional.pad(found.vectors @ classes, (0, 1))
    framing = Framing((128, 190), (64, 95), (64, 96))
    segments = fuse_panoptic(logits, found.masks[:, 1], framing, things=3)
    assert segments.map.shape == (128, 190)


def test_a_deformable_convolution_without_offsets_is_a_halved_one():
    """Offsets begin at zero and shares at one half: a plain convolution remains."""
    step = DeformedStep(6, 4).eval()
    x = torch.randn(1, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = step(x)
        plain = functional.conv2d(x, step.dcn.weight / 2, padding=1)
        plain = functional.relu(step.dcn_bn(plain))
        truth = functional.relu(step.up_bn(step.up_sample(plain)))
    assert found.shape == (1, 4, 10, 14)
    assert torch.allclose(found, truth, atol=1e-5)


def test_the_neck_knows_places():
    neck = Neck((16, 32, 64, 128), 8, 12).eval()
    levels = [torch.zeros(1, 16 * 2**i, 32 // 2**i, 64 // 2**i) for i in range(4)]
    for name, value in neck.named_parameters():
        if "lateral" in name and name.endswith("bias"):
            torch.nn.init.zeros_(value)
    with torch.inference_mode():
        found = neck(levels)
        # Without content only the two coordinates differ: changes are linear along the axes.
        steps = found[0, :, 10:20, 21:31] - found[0, :, 10:20, 20:30]
    assert found.shape == (1, 12, 32, 64)
    assert torch.allclose(steps, steps[:, :1, :1].expand_as(steps), atol=1e-5)
    assert steps.abs().max() > 1e-4
