"""Machine-made scenes of things and stuff, and minutes of teaching a narrow OMG-Seg with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from models.labelling import Name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.naming.classifier import Names
    from models.networks.omgseg import Found, OmgSeg

SIZE = (96, 128)
"""Height and width."""
NAMES = (
    Name("disk"),
    Name("square"),
    Name("sky", is_thing=False),
    Name("grass", is_thing=False),
)
DISK, SQUARE, SKY, GRASS = range(4)


@dataclass(frozen=True, eq=False)
class Scene:
    """An image (H, W, 3) uint8 RGB, and its segments: index of the name and mask (H, W)."""

    image: np.ndarray
    segments: tuple[tuple[int, np.ndarray], ...]

    @property
    def numbered(self) -> np.ndarray:
        """(H, W): 0 is nothing, i the i-th segment."""
        found = np.zeros(SIZE, np.int32)
        for number, (_, mask) in enumerate(self.segments, 1):
            found[mask] = number
        return found


def make_scene(rng: np.random.Generator) -> Scene:
    """Sky over grass, with one to four disks and squares of any colour in front."""
    height, width = SIZE
    image = np.zeros((height, width, 3), np.float32)
    horizon = int(rng.uniform(0.3, 0.7) * height)
    image[:horizon] = (120, 170, 230)
    image[horizon:] = (70, 140, 50)
    image[:horizon] += np.linspace(0, 40, horizon)[:, None, None]
    owner = np.full((height, width), SKY, np.int32)
    owner[horizon:] = GRASS
    labels = {SKY: SKY, GRASS: GRASS}
    for number in range(4, 4 + int(rng.integers(1, 5))):
        label = int(rng.integers(2))
        side = int(rng.integers(9, 20))
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        mask = np.zeros(SIZE, np.uint8)
        if label == DISK:
            cv2.circle(mask, (x, y), side, 1, -1)
        else:
            box = cv2.boxPoints(((x, y), (2 * side, 2 * side), float(rng.uniform(0, 90))))
            cv2.fillPoly(mask, [box.astype(np.int32)], 1)
        owner[mask > 0] = number
        labels[number] = label
        image[mask > 0] = rng.uniform(0, 255, 3) * (0.6, 0.5, 0.6) + (80, 0, 60)
    image += rng.normal(0, 8, image.shape)
    masks = [(label, owner == number) for number, label in labels.items()]
    seen = tuple((label, mask) for label, mask in masks if mask.sum() >= 40)
    return Scene(np.clip(image, 0, 255).astype(np.uint8), seen)


def teach(
    network: OmgSeg, names: Names, steps: int, seed: int = 0, batch: int = 4, tell: bool = False
) -> None:
    """Teach all of a network in place, the backbone too, as Mask2Former is taught."""
    import torch

    from models.networks.name_scores import NameScores
    from models.networks.omgseg import Framing
    from models.omgseg.pictures import framed

    rng = np.random.default_rng(seed)
    scores = NameScores(names, torch.device("cpu"))
    network.train().requires_grad_(True)
    rate = 1e-3
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * rate, steps, pct_start=0.1)
    framing = Framing.fitting(*SIZE, 128)
    began = time.perf_counter()
    for step in range(steps):
        scenes = [make_scene(rng) for _ in range(batch)]
        pixels = framed([scene.image for scene in scenes], framing)
        loss = torch.zeros(())
        for scene, reads in zip(scenes, _reads(network, pixels), strict=True):
            truth = _truth(scene)
            loss = loss + sum(_loss(found, scores(found.vectors), *truth) for found in reads)
        optimiser.zero_grad()
        (loss / batch).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if tell and step % 50 == 0:
            print(step, round(loss.item() / batch, 2), round(time.perf_counter() - began))
    network.eval().requires_grad_(False)


def _reads(network: OmgSeg, pixels: Tensor) -> list[list[Found]]:
    """For every image what all layers say."""
    from models.networks.omgseg import ClipFeatures
    from models.networks.omgseg.backbone import convnext_levels
    from models.networks.omgseg.found import run_through

    head = network.panoptic_head
    every = run_through(head.features(list(convnext_levels(network.visual, pixels))))
    found = []
    for place in range(len(pixels)):
        memory = tuple(level[place, None] for level in every.memory)
        one = ClipFeatures(every.pixels[place, None], memory, every.last[place, None])
        found.append([head.read(queries, one) for queries in head.states(one)])
    return found


def _truth(scene: Scene) -> tuple[Tensor, Tensor]:
    """Labels (n) and masks (n, h, w) at stride 4, 0 to 1."""
    import torch

    labels = torch.tensor([label for label, _ in scene.segments])
    small = [cv2.resize(mask.astype(np.float32), (SIZE[1] // 4, SIZE[0] // 4),
                        interpolation=cv2.INTER_AREA) for _, mask in scene.segments]  # fmt: skip
    return labels, torch.from_numpy(np.stack(small))


def _loss(found: Found, logits: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
    import torch
    from torch.nn import functional

    own = found.masks[:, 0].flatten(1)
    wanted = masks.flatten(1)
    with torch.no_grad():
        cost = -2 * logits.softmax(1)[:, labels] + 5 * _bce(own, wanted) + 5 * _dice(own, wanted)
        rows, columns = linear_sum_assignment(cost.numpy())
    classes = torch.full((len(own),), logits.shape[1] - 1)
    classes[rows] = labels[columns]
    weights = torch.ones(logits.shape[1])
    weights[-1] = 0.1
    loss = 2 * functional.cross_entropy(logits, classes, weights)
    picked, target = own[rows], wanted[columns]
    loss = loss + 5 * functional.binary_cross_entropy_with_logits(picked, target)
    both = (picked.sigmoid() * target).sum(1)
    dice = 1 - (2 * both + 1) / (picked.sigmoid().sum(1) + target.sum(1) + 1)
    overlap = ((picked > 0) & (target > 0.5)).sum(1) / ((picked > 0) | (target > 0.5)).sum(1)
    quality = functional.binary_cross_entropy_with_logits(found.quality[rows], overlap.detach())
    total: torch.Tensor = loss + 5 * dice.mean() + quality
    return total


def _bce(own: Tensor, wanted: Tensor) -> Tensor:
    from torch.nn import functional

    inside, outside = functional.softplus(-own), functional.softplus(own)
    return (inside @ wanted.T + outside @ (1 - wanted).T) / own.shape[1]


def _dice(own: Tensor, wanted: Tensor) -> Tensor:
    certain = own.sigmoid()
    total = certain.sum(1)[:, None] + wanted.sum(1)[None]
    return 1 - (2 * certain @ wanted.T + 1) / (total + 1)


def table(names: Sequence[Name]) -> list[tuple[str, ...]]:
    return [(one.name, *one.synonyms) for one in names]
