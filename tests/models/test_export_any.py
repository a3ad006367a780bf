"""Every network of the family is recognised, exported, and compared with torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.networks.efficientsam import EfficientSam
from models.networks.efficientsam.network import narrow_efficient_sam
from models.networks.fastsam import FastSam, narrow_fast_sam
from models.networks.mobilesam.network import narrow_mobile_sam
from models.networks.sam_vit import narrow_sam
from models.onnx_session import open_session
from models.sam_family import export_any
from models.sam_family.export_any import NETWORKS, TOLERANCE, export, load, recognised
from models.sam_family.fast_files import OnnxFastSam

FOLDED = ["cells.onnx", "encoder.onnx", "mask.onnx", "side.onnx", "tokens.onnx", "trunk.onnx"]


@pytest.mark.parametrize("title", NETWORKS)
def test_a_network_is_recognised_by_its_weights(title):
    with torch.device("meta"):
        state = NETWORKS[title]().state_dict()
    assert recognised(state) == title
    del state["mask_decoder.iou_token.weight"]
    assert recognised(state) == title


def test_fastsam_is_recognised_in_a_state_dict(tmp_path):
    torch.save(narrow_fast_sam().state_dict(), tmp_path / "a.pth")
    assert isinstance(load(tmp_path / "a.pth"), FastSam)


def test_other_weights_are_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"another network\. .*EdgeSAM, SAM ViT-B.*FastSAM"):
        load(tmp_path / "a.pth")


def test_half_a_network_is_named(tmp_path):
    with torch.device("meta"):
        wanted = NETWORKS["MobileSAM"]().state_dict()
    state = {name: torch.zeros(()).expand(value.shape) for name, value in wanted.items()}
    torch.save({"model": state}, tmp_path / "mine.pth")
    assert load(tmp_path / "mine.pth").prompt_encoder.side == 1024
    del state["mask_decoder.iou_token.weight"]
    torch.save({"model": state}, tmp_path / "mine.pth")
    with pytest.raises(ModelError, match=r"does not fit MobileSAM: .* 1 missing"):
        load(tmp_path / "mine.pth")


@pytest.mark.parametrize("make", [narrow_sam, narrow_mobile_sam])
def test_networks_with_sams_decoder(tmp_path, make):
    found = export(make(), tmp_path)
    assert set(found) == {"encoder.onnx", "the decoder"}
    assert all(0 < difference <= TOLERANCE for difference in found.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == FOLDED


def test_efficientsam(tmp_path):
    network: EfficientSam = narrow_efficient_sam()
    found = export(network, tmp_path)
    assert all(0 < difference <= TOLERANCE for difference in found.values())
    session = open_session(tmp_path / "decoder.onnx")
    assert [value.name for value in session.get_outputs()] == ["scores", "masks"]
    image = torch.randn(1, 64, 8, 8)
    coords = torch.tensor([[[20.0, 30.0], [90.0, 80.0], [50.0, 50.0]]])
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    with torch.no_grad():
        logits, quality = network.decode(image, coords, labels)
    filled = np.pad(coords.numpy(), ((0, 0), (0, 3), (0, 0)), constant_values=-1)
    kinds = np.pad(labels.numpy(), ((0, 0), (0, 3)), constant_values=-1)
    scores, masks = session.run(
        None, {"image_embeddings": image.numpy(), "point_coords": filled, "point_labels": kinds}
    )
    np.testing.assert_allclose(masks, logits, rtol=0, atol=5e-4)
    np.testing.assert_allclose(scores, quality, rtol=0, atol=5e-4)


@pytest.mark.slow
def test_fastsam_runs_as_ultralytics_export_does(tmp_path):
    found = export(narrow_fast_sam(), tmp_path)
    assert 0 < found["fastsam.onnx"] <= TOLERANCE
    assert OnnxFastSam(tmp_path / "fastsam.onnx").frame(640, 480) == (1024, 1024)


def test_a_graph_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export_any, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match=r"would differ from torch by \d"):
        export(narrow_sam(), tmp_path)
