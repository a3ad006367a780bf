"""Loupe: a convolutional promptable network small enough to ship and to train on little data.

An encoder makes a feature pyramid once per image. A prompt is answered in a window: the features
under it are sampled on a grid of fixed size, so that small and large objects look alike to the
decoder, joined with maps of the clicks, the box and the previous mask, and turned into a mask by a
small U-Net. Compare RoIAlign (He et al., Mask R-CNN, 2017) and iterative click maps with mask
guidance (Sofiiuk et al., RITM, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.loupe.windows import COARSE_STRIDE, atlas_shape, level_origins

PROMPT_MAPS = 10
NARROW, WIDE = 0.03, 0.15
"""Radii of a click's two bumps, in sides of the window."""


@dataclass(frozen=True, slots=True)
class LoupeConfig:
    """Widths of the network.

    Attributes:
        stages: channels at strides 2, 4, 8, 16, 32.
        blocks: residual blocks at these strides.
        coarse: channels of the features sampled on the grid.
        fine: channels of the features sampled on the grid of twice the size.
        decoder: channels of the decoder at 1, 1/2 and 1/4 of the grid.
    """

    stages: tuple[int, int, int, int, int] = (24, 48, 80, 128, 192)
    blocks: tuple[int, int, int, int, int] = (0, 1, 2, 3, 3)
    coarse: int = 64
    fine: int = 24
    decoder: tuple[int, int, int] = (64, 96, 128)


class Questions(NamedTuple):
    """K prompts for each of B images; coordinates are pixels of the network's input.

    Attributes:
        windows: (B, K, 4) cx, cy, width, height.
        places: (B, K, 2, 3) from `models.loupe.windows.places`.
        points: (B, K, P, 3) x, y and +1, -1 or 0 (no point).
        boxes: (B, K, 5) x0, y0, x1, y1 and 1, or 0 for no box.
        previous: (B, K, G, G) probabilities of the mask so far in this window, 0 without.
        has_previous: (B, K) 1 or 0.
        sizes: (B, 2) width and height of the image inside the padded input.
    """

    windows: Tensor
    places: Tensor
    points: Tensor
    boxes: Tensor
    previous: Tensor
    has_previous: Tensor
    sizes: Tensor


class Renorm(nn.BatchNorm2d):
    """Batch renormalisation (Ioffe 2017): training sees the statistics that evaluation will use.

    The decoder answers first and later questions in turn, whose statistics differ. Plain batch
    norm would learn with those of each turn and be evaluated with a mixture: of 0.63 mean IoU for
    first boxes 0.34 was left. The parameters and their names are those of batch norm.
    """

    MOMENTUM = 0.02
    MAX_SCALE, MAX_SHIFT = 3.0, 5.0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        mean, scale = self.running_mean, self.running_var
        if not self.training or mean is None or scale is None:
            return super().forward(x)
        with torch.no_grad():
            # An eighth of the time of var_mean, and 32 bits whatever x has.
            average, variance = torch.zeros_like(mean), torch.zeros_like(scale)
            torch.batch_norm_update_stats(x, average, variance, 1.0)
            deviation = torch.sqrt(scale + self.eps)
            by = (torch.sqrt(variance + self.eps) / deviation).clamp(
                1 / self.MAX_SCALE, self.MAX_SCALE
            )
            shift = ((average - mean) / deviation).clamp(-self.MAX_SHIFT, self.MAX_SHIFT)
        found = F.batch_norm(
            x, None, None, self.weight * by, self.bias + self.weight * shift, True, 0.0, self.eps
        )
        with torch.no_grad():
            mean.lerp_(average, self.MOMENTUM)
            scale.lerp_(variance, self.MOMENTUM)
        return found


def _conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        norm(outputs),
        nn.ReLU(),
    )


class _Block(nn.Module):
    """x + conv(relu(conv(x))), normalised; the second norm starts at zero."""

    def __init__(self, width: int, norm: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.first = _conv(width, width, norm=norm)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = norm(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class Encoder(nn.Module):
    """Image (B, 3, H, W) in 0 … 1, H and W multiples of 32, to eight feature maps.

    Four of `coarse` channels at strides 4 to 32, then four of `fine` channels at strides 2 to 16.
    """

    def __init__(self, config: LoupeConfig) -> None:
        super().__init__()
        stages = []
        before = 3
        for width, count in zip(config.stages, config.blocks, strict=True):
            stages.append(
                nn.Sequential(
                    _conv(before, width, stride=2), *(_Block(width) for _ in range(count))
                )
            )
            before = width
        stages[0].append(_conv(before := config.stages[0], before))
        self.stages = nn.ModuleList(stages)
        self.context = nn.Sequential(nn.Linear(config.stages[-1], config.coarse), nn.ReLU())
        self.laterals = nn.ModuleList(nn.Conv2d(w, config.coarse, 1) for w in config.stages[1:])
        self.smooth = nn.ModuleList(_conv(config.coarse, config.coarse) for _ in range(4))
        self.fine = nn.ModuleList(
            [nn.Conv2d(config.stages[0], config.fine, 1)]
            + [nn.Conv2d(config.coarse, config.fine, 1) for _ in range(3)]
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The eight maps of images (B, 3, H, W)."""
        x = (image - 0.45) * 4.0
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        context = self.context(x.mean((2, 3)))[:, :, None, None]
        coarse: list[Tensor] = []
        above: Tensor | None = None
        for lateral, smooth, x in reversed(
            list(zip(self.laterals, self.smooth, maps[1:], strict=True))
        ):
            x = lateral(x)
            x = x + context if above is None else x + F.interpolate(above, scale_factor=2.0)
            above = x
            coarse.insert(0, smooth(x))
        finer = zip(self.fine, [maps[0], *coarse[:3]], strict=True)
        return (*coarse, *(project(x) for project, x in finer))


class Decoder(nn.Module):
    """Sampled features and prompt maps to a mask and its quality."""

    def __init__(self, config: LoupeConfig) -> None:
        super().__init__()
        top, middle, low = config.decoder
        self.enter = _conv(config.coarse + PROMPT_MAPS, top, norm=Renorm)
        self.down1 = nn.Sequential(
            _conv(top, middle, stride=2, norm=Renorm), _Block(middle, Renorm)
        )
        self.down2 = nn.Sequential(
            _conv(middle, low, stride=2, norm=Renorm), _Block(low, Renorm), _Block(low, Renorm)
        )
        self.up1 = _conv(low, middle, 1, norm=Renorm)
        self.join1 = _conv(middle, middle, norm=Renorm)
        self.up2 = _conv(middle, top, 1, norm=Renorm)
        self.join2 = _conv(top, top, norm=Renorm)
        self.up3 = _conv(top, config.fine, 1, norm=Renorm)
        self.join3 = _conv(2 * config.fine, config.fine, norm=Renorm)
        self.mask = nn.Conv2d(config.fine, 1, 1)
        self.coarse_mask = nn.Conv2d(top, 1, 1)
        self.score = nn.Sequential(nn.Linear(2 * top + low, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, coarse: Tensor, fine: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 2 G, 2 G) and the logit of the mask's IoU with the truth (N,).

        Args:
            coarse: (N, C, G, G).
            fine: (N, F, 2 G, 2 G).
            prompts: (N, 10, G, G).
        """
        x0 = self.enter(torch.cat([coarse, prompts], 1))
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        y1 = self.join1(x1 + F.interpolate(self.up1(x2), scale_factor=2.0))
        y0 = self.join2(x0 + F.interpolate(self.up2(y1), scale_factor=2.0))
        up = F.interpolate(self.up3(y0), scale_factor=2.0)
        detail = self.mask(self.join3(torch.cat([up, fine], 1)))
        rough = self.coarse_mask(y0)
        logits = detail + F.interpolate(
            rough, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        inside = torch.sigmoid(rough)
        inner = (y0 * inside).mean((2, 3)) / (inside.mean((2, 3)) + 1e-3)
        outer = (y0 * (1 - inside)).mean((2, 3)) / (1 - inside + 1e-3).mean((2, 3))
        score = self.score(torch.cat([inner, outer, x2.mean((2, 3))], 1))
        return logits[:, 0], score[:, 0]


class Loupe(nn.Module):
    """The whole network.

    `encode` once per image, `decode` for any number of prompts. In the shipped program both run
    as ONNX graphs (`models.training.export`); this module is for training and as their truth.
    """

    def __init__(self, config: LoupeConfig | None = None) -> None:
        super().__init__()
        self.config = config or LoupeConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Coarse and fine atlas (B, C, rows, columns) of images (B, 3, H, W) in 0 … 1."""
        maps = self.encoder(image)
        height, width = image.shape[-2:]
        return (
            pack(maps[:4], height, width, COARSE_STRIDE),
            pack(maps[4:], height, width, COARSE_STRIDE // 2),
        )

    def decode(self, coarse: Tensor, fine: Tensor, questions: Questions) -> tuple[Tensor, Tensor]:
        """Logits (B, K, 2 G, 2 G) and score logits (B, K); see `Decoder`."""
        images, count, grid = questions.previous.shape[:3]
        sampled = [
            sample(atlas, questions, level, cells)
            for level, (atlas, cells) in enumerate(((coarse, grid), (fine, 2 * grid)))
        ]
        logits, score = self.decoder(*sampled, prompt_maps(questions).to(sampled[0].dtype))
        return (
            logits.reshape(images, count, 2 * grid, 2 * grid),
            score.reshape(images, count),
        )


def pack(maps: tuple[Tensor, ...], height: int, width: int, stride: int) -> Tensor:
    """The four levels of a pyramid in one atlas (B, C, rows, columns)."""
    first = maps[0]
    atlas = first.new_zeros(*first.shape[:2], *atlas_shape(height, width, stride))
    for (row, col), level in zip(level_origins(height, width, stride), maps, strict=True):
        atlas[:, :, row : row + level.shape[2], col : col + level.shape[3]] = level
    return atlas


def cell_centers(windows: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Centres x (B, K, grid) and y (B, K, grid) of a window's cells, in pixels."""
    steps = (torch.arange(grid, device=windows.device, dtype=windows.dtype) + 0.5) / grid - 0.5
    return (
        windows[..., 0:1] + windows[..., 2:3] * steps,
        windows[..., 1:2] + windows[..., 3:4] * steps,
    )


def sample(atlas: Tensor, questions: Questions, which: int, grid: int) -> Tensor:
    """Features (B K, C, grid, grid) under the windows; 0 outside the image."""
    x, y = cell_centers(questions.windows, grid)
    width, height = questions.sizes[:, None, 0:1], questions.sizes[:, None, 1:2]
    place = questions.places[:, :, which]
    scale = place[..., 2:3]
    # Half a cell from the edge of a level, nothing of its neighbours in the atlas is mixed in.
    columns = torch.minimum((x * scale).clamp(min=0.5), width * scale - 0.5) + place[..., 0:1]
    rows = torch.minimum((y * scale).clamp(min=0.5), height * scale - 0.5) + place[..., 1:2]
    columns = columns * (2.0 / atlas.shape[3]) - 1
    rows = rows * (2.0 / atlas.shape[2]) - 1
    images, count = columns.shape[:2]
    shape = (images, count, grid, grid)
    where = torch.stack(
        [columns[:, :, None].expand(shape), rows[..., None].expand(shape)], -1
    ).reshape(images, count * grid, grid, 2)
    found = F.grid_sample(atlas.float(), where, align_corners=False)
    found = found.reshape(images, -1, count, grid, grid)
    inside = _within(questions, x, y)
    kind = atlas.device.type
    if torch.is_autocast_enabled(kind):  # what follows computes so: one copy here saves many there
        found = found.permute(0, 2, 3, 4, 1).to(torch.get_autocast_dtype(kind))
        found = found * inside[..., None].to(found)
        return found.reshape(images * count, grid, grid, -1).permute(0, 3, 1, 2)
    found = found * inside[:, None]
    return found.transpose(1, 2).reshape(images * count, -1, grid, grid)


def prompt_maps(questions: Questions) -> Tensor:
    """What was asked, as maps (B K, 10, G, G) in the window.

    Box, has box, two bumps around positive and two around negative clicks, previous mask, has
    previous, size of the window in the image, inside of the image.
    """
    previous = questions.previous
    grid = previous.shape[-1]
    windows = questions.windows
    x, y = cell_centers(windows, grid)
    shape = previous.shape
    maps = [
        _box_map(questions.boxes, windows, x, y),
        questions.boxes[..., 4, None, None].expand(shape),
        *_click_maps(questions.points, windows, x, y),
        previous,
        questions.has_previous[..., None, None].expand(shape),
    ]
    share = torch.sqrt(windows[..., 2] * windows[..., 3]) / questions.sizes.amax(1)[:, None]
    maps.append((torch.log2(share + 1e-3) / 3)[..., None, None].expand(shape))
    maps.append(_within(questions, x, y))
    stacked = torch.stack(maps, 2).reshape(-1, PROMPT_MAPS, grid, grid)
    return stacked.contiguous(memory_format=torch.channels_last)


def _within(questions: Questions, x: Tensor, y: Tensor) -> Tensor:
    """1 for the cells (B, K, n, n) whose centre lies in the image."""
    width, height = questions.sizes[:, None, 0:1], questions.sizes[:, None, 1:2]
    return ((x > 0) & (x < width)).to(x)[:, :, None] * ((y > 0) & (y < height)).to(x)[..., None]


def _box_map(boxes: Tensor, windows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """How much of each cell (B, K, n, n) the box covers, 0 to 1."""

    def covered(low: Tensor, high: Tensor, center: Tensor, cell: Tensor) -> Tensor:
        upper = torch.minimum(center + cell / 2, high)
        return ((upper - torch.maximum(center - cell / 2, low)) / cell).clamp(0, 1)

    cells = windows[..., 2:] / x.shape[-1]
    across = covered(boxes[..., 0:1], boxes[..., 2:3], x, cells[..., 0:1])
    down = covered(boxes[..., 1:2], boxes[..., 3:4], y, cells[..., 1:2])
    return across[:, :, None] * down[..., None] * boxes[..., 4, None, None]


def _click_maps(points: Tensor, windows: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
    """Narrow and wide bumps (B, K, n, n) at the positive, then at the negative clicks."""
    across = (x[:, :, None] - points[..., 0:1]) / windows[..., None, 2:3]
    down = (y[:, :, None] - points[..., 1:2]) / windows[..., None, 3:4]
    squared = across[:, :, :, None] ** 2 + down[..., None] ** 2
    maps = []
    for sign in (1.0, -1.0):
        chosen = (points[..., 2] * sign > 0).to(squared)[..., None, None]
        maps += [
            (torch.exp(squared * (-0.5 / radius**2)) * chosen).amax(2) for radius in (NARROW, WIDE)
        ]
    return maps
