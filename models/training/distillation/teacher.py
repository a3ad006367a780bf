"""The teacher: any network in SAM's layout whose weights are here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.api import ModelError
from models.networks.edgesam import EdgeSam
from models.networks.sam import Sam, stability_score
from models.registry import segmenter_spec
from models.training.rounds import Floats

EDGESAMS = ("edgesam-3x", "edgesam")
OTHERS = ("sam-vit-h", "sam-vit-l", "sam-vit-b", "mobilesam")
SEEDS = 8
"""Clicks along each side of an image nobody labelled."""
BATCH = 16
CONFIDENT = 0.8
SAME = 0.7
"""Masks of different clicks whose IoU is at least this are one object."""
SMALLEST, LARGEST = 0.0005, 0.7
"""Parts of the image an object may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A network that is not trained.

    Attributes:
        network: on its device, in evaluation mode.
        fingerprint: names its weights.
    """

    network: Sam
    fingerprint: str

    @classmethod
    def of(cls, network: Sam, fingerprint: str = "") -> Teacher:
        """A teacher; without a fingerprint, one is made from the weights."""
        network.eval().requires_grad_(False)
        if not fingerprint:
            digest = hashlib.sha256()
            for value in network.state_dict().values():
                digest.update(value.cpu().contiguous().numpy().tobytes())
            fingerprint = digest.hexdigest()[:16]
        return cls(network, fingerprint)

    @property
    def side(self) -> int:
        """Side of its square input in pixels."""
        return self.network.prompt_encoder.side

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its embeddings: (C, G, G)."""
        prompts = self.network.prompt_encoder
        return prompts.channels, prompts.grid, prompts.grid

    def encode(self, pixels: Floats) -> Tensor:
        """(1, 3, S, S) normalised and padded to (1, C, G, G)."""
        device = self.network.prompt_encoder.no_mask_embed.weight.device
        with torch.inference_mode():
            found: Tensor = self.network.image_encoder(torch.from_numpy(pixels).to(device))
        return found

    def confidence(self, logits: Tensor, quality: Tensor) -> Tensor:
        """What it believes of masks (B, M, h, w), (B, M).

        The predicted IoU, or for EdgeSAM, whose prediction was never trained, the stability.
        """
        if not isinstance(self.network, EdgeSam):
            return quality
        return stability_score(logits).nan_to_num(-1.0)

    def objects(self, embedding: Tensor, resized: tuple[int, int]) -> tuple[Floats, Floats]:
        """What it sees when it is asked all over an image.

        Args:
            embedding: (1, C, G, G).
            resized: height and width of the image in the frame.

        Returns:
            Boxes (n, 4) and the clicks that found them (n, 2), in the frame.
        """
        height, width = resized
        steps = (np.arange(SEEDS) + 0.5) / SEEDS
        grid = np.stack(np.meshgrid(steps * width, steps * height), -1)
        seeds = grid.reshape(-1, 2).astype(np.float32)
        found: list[tuple[float, Floats, Floats, Tensor]] = []
        for first in range(0, len(seeds), BATCH):
            found += self._objects_at(embedding, seeds[first : first + BATCH], resized)
        found.sort(key=lambda one: -one[0])
        kept: list[tuple[float, Floats, Floats, Tensor]] = []
        for one in found:
            if all(_iou(one[3], other[3]) < SAME for other in kept):
                kept.append(one)
        boxes = np.array([one[1] for one in kept], np.float32).reshape(-1, 4)
        return boxes, np.array([one[2] for one in kept], np.float32).reshape(-1, 2)

    def _objects_at(
        self, embedding: Tensor, seeds: Floats, resized: tuple[int, int]
    ) -> list[tuple[float, Floats, Floats, Tensor]]:
        with torch.inference_mode():
            points = torch.from_numpy(seeds)[:, None].to(embedding.device)
            labels = torch.ones(points.shape[:2], device=embedding.device)
            logits, quality = self.network.decode(embedding, (points, labels))
            scores = self.confidence(logits, quality)
            best = scores.argmax(1)
            rows = torch.arange(len(best), device=best.device)
            masks, scores = logits[rows, best] > 0, scores[rows, best]
        cell = self.side / masks.shape[-1]
        whole = resized[0] * resized[1]
        found = []
        for mask, score, seed in zip(masks.cpu(), scores.tolist(), seeds, strict=True):
            share = float(mask.sum()) * cell**2 / whole
            if score >= CONFIDENT and SMALLEST <= share <= LARGEST:
                found.append((score, _box(mask, cell, resized), seed, mask))
        return found


def _box(mask: Tensor, cell: float, resized: tuple[int, int]) -> Floats:
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    limits = np.array([resized[1], resized[0]] * 2, np.float32)
    return np.minimum(np.array([float(edge) * cell for edge in edges], np.float32), limits)


def _iou(one: Tensor, two: Tensor) -> float:
    union = int((one | two).sum())
    return int((one & two).sum()) / union if union else 0.0


def load_teacher(model_id: str, device: str = "cpu") -> Teacher:
    """A teacher of the registry.

    Raises:
        ModelError: there is no such model, it cannot teach, or its weights are not here.
    """
    spec = segmenter_spec(model_id)
    if model_id not in (*EDGESAMS, *OTHERS):
        raise ModelError(
            f"“{model_id}” cannot teach: it has no decoder in SAM's layout. Models that can: "
            f"{', '.join((*OTHERS, *EDGESAMS))}."
        )
    if model_id in EDGESAMS:
        from models.networks.edgesam.export import load

        path, fingerprint = _edgesam_file(model_id)
        network: Sam = load(path)
    else:
        from models.sam_family.files import missing, present
        from models.sam_family.networks import load_sam

        if reason := missing(model_id):
            raise ModelError(f"“{model_id}” cannot teach yet. {reason}")
        path, fingerprint = present(model_id)
        network = load_sam(model_id, spec.title, path)
    return Teacher.of(network.to(device), fingerprint)


def _edgesam_file(model_id: str) -> tuple[Path, str]:
    """The checkpoint; the graphs alone are not enough for training."""
    from models.catalog import needs
    from models.weights import local_path, verified_path

    (weight,) = next(group for group in needs(model_id) if len(group) == 1)
    if local_path(weight) is None:
        raise ModelError(
            f"“{model_id}” cannot teach yet. The file “{weight.file_name}” "
            f"({weight.licence.name}) is missing. Get it with: annotator models get {weight.id}"
        )
    return verified_path(weight), weight.sha256[:16]
