"""Machine-made sequences: bright textured disks that glide and grow over a dark textured ground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 240


@dataclass(frozen=True)
class Disk:
    """One object: centre and radius in the first frame, pixels; speed and growth a frame."""

    x: float
    y: float
    radius: float
    dx: float = 0.0
    dy: float = 0.0
    growth: float = 1.0
    turn: float = 0.0
    seed: int = 1

    def at(self, time: int) -> tuple[float, float, float]:
        """Centre and radius in a frame."""
        return self.x + self.dx * time, self.y + self.dy * time, self.radius * self.growth**time


def texture(seed: int, low: int, high: int) -> NDArray[np.float32]:
    """Soft blotches, (HEIGHT, WIDTH, 3)."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(low, high, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), low, high)


def disk_mask(disk: Disk, time: int) -> NDArray[np.bool_]:
    """Where a disk is, (HEIGHT, WIDTH)."""
    x, y, radius = disk.at(time)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (xs - x) ** 2 + (ys - y) ** 2 < radius**2


def scene(disks: tuple[Disk, ...], time: int, ground: int = 0) -> NDArray[np.uint8]:
    """The frame at a time, later disks in front; (HEIGHT, WIDTH, 3) uint8 RGB."""
    pixels = texture(ground + 100, 20, 90)
    for disk in disks:
        x, y, radius = disk.at(time)
        middle = WIDTH / 2, HEIGHT / 2
        turned = cv2.getRotationMatrix2D(middle, disk.turn * time, radius / disk.radius)
        turned[:, 2] += x - middle[0], y - middle[1]
        own = cv2.warpAffine(
            texture(disk.seed, 170, 250), turned, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
        )
        inside = disk_mask(disk, time)
        pixels[inside] = own[inside]
    return pixels.astype(np.uint8)


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save a frame without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1])
