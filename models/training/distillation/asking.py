"""Algorithm 1: teacher and student answer the same prompts, and are asked again where they differ.

Source: EdgeSAM (2023), algorithm 1; spec/edgesam.md, section 4. Coordinates are those of the
square frame; masks lie on the decoder's grid, a quarter of its side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.networks.sam import Sam
from models.networks.sam.prompt_encoder import IGNORED
from models.training.distillation.features import Lesson
from models.training.distillation.teacher import Teacher

AGREED = 10
"""Fewer differing pixels than this need no click."""
BCE_WEIGHT = DICE_WEIGHT = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """B prompts on one image; what is None is not asked with.

    Attributes:
        boxes: (B, 4).
        coords: (B, N, 2) of clicks.
        labels: (B, N) of clicks: 1, 0, or -2 for a click that is left out.
    """

    boxes: Tensor | None = None
    coords: Tensor | None = None
    labels: Tensor | None = None

    @property
    def masks(self) -> Literal[1, 4]:
        """How many masks answer: a box means one thing, a click may mean several."""
        return 4 if self.boxes is None else 1

    def answered(self, network: Sam, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, M, h, w) and predicted IoU (B, M) on an embedding (1, C, G, G)."""
        points = None
        if self.coords is not None and self.labels is not None:
            points = self.coords, self.labels
        return network.decode(embedding, points, self.boxes, None, self.masks)

    def with_clicks(self, coords: Tensor, labels: Tensor) -> Prompts:
        """The same with one more click each, (B, 2) and (B)."""
        coords, labels = coords[:, None], labels[:, None]
        if self.coords is not None and self.labels is not None:
            coords = torch.cat([self.coords, coords], 1)
            labels = torch.cat([self.labels, labels], 1)
        return replace(self, coords=coords, labels=labels)


def drawn(
    rng: np.random.Generator, lesson: Lesson, count: int, device: torch.device, *, boxes: bool
) -> Prompts | None:
    """Prompts for objects of an image, with replacement; None for an image without any."""
    if not len(lesson.boxes):
        return None
    chosen = rng.integers(len(lesson.boxes), size=min(count, len(lesson.boxes)))
    if boxes:
        return Prompts(boxes=torch.from_numpy(lesson.boxes[chosen]).to(device))
    points = torch.from_numpy(lesson.points[chosen]).to(device)[:, None]
    return Prompts(coords=points, labels=torch.ones(points.shape[:2], device=device))


def in_the_loop(
    rng: np.random.Generator,
    student: Sam,
    teacher: Teacher,
    embeddings: tuple[Tensor, Tensor],
    prompts: Prompts,
    valid: Tensor,
    passes: int,
) -> tuple[Tensor, tuple[float, ...]]:
    """Ask both, compare, click where they differ, and ask again.

    Args:
        rng: draws the clicks.
        student: learns.
        teacher: does not.
        embeddings: (1, C, G, G) of the student and of the teacher.
        prompts: the first ones.
        valid: (h, w) bool, the cells of the masks that lie in the image.
        passes: how often both answer.

    Returns:
        The loss, and after every pass the mean IoU of the student's masks with the teacher's.
    """
    loss = torch.zeros((), device=valid.device)
    ious = []
    for number in range(passes):
        with torch.no_grad():
            logits, quality = prompts.answered(teacher.network, embeddings[1])
            truth = logits > 0
        answer, _ = prompts.answered(student, embeddings[0])
        loss = loss + mask_loss(answer, truth.to(answer), valid) / passes
        best = teacher.confidence(logits, quality).argmax(1)
        rows = torch.arange(len(best), device=best.device)
        # Of several masks, the one the teacher believes in most is talked about.
        shown, right = answer.detach()[rows, best] > 0, truth[rows, best]
        ious.append(_mean_iou(shown & valid, right & valid))
        if number + 1 < passes:
            side = teacher.side // valid.shape[-1]
            prompts = prompts.with_clicks(*corrections(rng, shown, right, valid, side))
    return loss, tuple(ious)


def corrections(
    rng: np.random.Generator, shown: Tensor, right: Tensor, valid: Tensor, cell: int
) -> tuple[Tensor, Tensor]:
    """One click for each mask, drawn from where it differs from the right one.

    Args:
        rng: draws one pixel uniformly from what is missing and what is too much, together.
        shown: (B, h, w) bool.
        right: (B, h, w) bool.
        valid: (h, w) bool; no click lies outside.
        cell: pixels of the frame in one pixel of the masks.

    Returns:
        Corners of pixels (B, 2) in the frame, and labels (B): 1 for what is missing, 0 for what
        is too much, -2 (left out, at 0, 0) where they hardly differ.
    """
    wrong = ((shown ^ right) & valid).flatten(1).cpu().numpy()
    missing = right.flatten(1).cpu().numpy()
    coords = np.zeros((len(wrong), 2), np.float32)
    labels = np.full(len(wrong), IGNORED, np.float32)
    for index, row in enumerate(wrong):
        pixels = np.flatnonzero(row)
        if len(pixels) < AGREED:
            continue
        pixel = int(rng.choice(pixels))
        coords[index] = (pixel % valid.shape[1]) * cell, (pixel // valid.shape[1]) * cell
        labels[index] = missing[index, pixel]
    return torch.from_numpy(coords).to(valid.device), torch.from_numpy(labels).to(valid.device)


def mask_loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """5 · BCE + 5 · Dice, over the valid pixels alone.

    Args:
        logits: (B, M, h, w).
        targets: (B, M, h, w), 0 or 1.
        valid: (h, w) bool.
    """
    inside = valid.to(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * inside
    entropy = entropy.sum((1, 2, 3)) / (inside.sum() * logits.shape[1])
    probability, targets = torch.sigmoid(logits) * inside, targets * inside
    overlap = 2 * (probability * targets).sum((2, 3)) + 1
    dice = 1 - overlap / (probability.sum((2, 3)) + targets.sum((2, 3)) + 1)
    return BCE_WEIGHT * entropy.mean() + DICE_WEIGHT * dice.mean()


def feature_loss(features: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """Squared error, mean over the channels and over the valid cells of every image.

    Args:
        features: (B, C, G, G).
        wanted: (B, C, G, G).
        valid: (B, G, G) bool.
    """
    squared = (features - wanted).square().mean(1) * valid
    return (squared.sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)).mean()


def valid_cells(resized: tuple[int, int], side: int, count: int, device: torch.device) -> Tensor:
    """(count, count) bool: the cells of the frame of which more than half is image."""
    frame = torch.zeros(1, 1, side, side, device=device)
    frame[..., : resized[0], : resized[1]] = 1
    small = F.interpolate(frame, (count, count), mode="bilinear", align_corners=False)
    return small[0, 0] > 0.5


def _mean_iou(shown: Tensor, right: Tensor) -> float:
    union = (shown | right).sum((1, 2))
    ious = (shown & right).sum((1, 2)) / union.clamp(min=1)
    # Two empty masks agree.
    return float(torch.where(union > 0, ious, torch.ones_like(ious)).mean())
