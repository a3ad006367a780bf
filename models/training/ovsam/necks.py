"""SAM2CLIP: the neck learns to make SAM's image embedding from CLIP's features."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.api import ModelError
from models.networks.ovsam import OpenVocabularySam
from models.networks.ovsam.backbone import levels
from models.training.distillation.features import Lessons
from models.training.distillation.teacher import Teacher
from models.training.ovsam.learner import Learner
from models.training.ovsam.settings import Settings


class NeckLearner(Learner):
    """Trains the neck on what a teacher makes of images.

    Args:
        network: CLIP's tower is used, the neck is trained.
        lessons: the images and the teacher's embeddings, kept on disk.
        settings: how.
        device: "cpu" or "cuda".

    Raises:
        ModelError: the neck's embedding has another shape than the teacher's.
    """

    form = "annotator-sam2clip-1"
    parts = ("neck_student",)

    def __init__(
        self,
        network: OpenVocabularySam,
        lessons: Lessons,
        settings: Settings,
        device: str = "cpu",
    ) -> None:
        sizes, teacher = network.sizes.neck, lessons.teacher
        shape = sizes.output, sizes.grid, sizes.grid
        if shape != teacher.shape or sizes.side != teacher.side:
            raise ModelError(
                f"The neck's embedding is {shape} for {sizes.side} pixels, but the teacher's is "
                f"{teacher.shape} for {teacher.side}: it cannot learn from it."
            )
        super().__init__(network, settings, len(lessons), device)
        self._lessons = lessons

    def _learn_from(self, rng: np.random.Generator, index: int) -> tuple[Tensor, float | None]:
        pixels = torch.from_numpy(self._lessons.pixels(index)).to(self._device)
        with torch.no_grad():
            found = list(levels(self.network.visual, pixels))
        wanted = torch.from_numpy(self._lessons.lesson(index).features).to(self._device)
        return F.mse_loss(self.network.neck_student(found), wanted.float()[None]), None

    def _data(self) -> str:
        return self._lessons.teacher.fingerprint


def begin_neck(network: OpenVocabularySam, teacher: Teacher) -> None:
    """Give a new neck the teacher's absolute positions, which are not trained.

    A teacher without such positions, or with others, leaves them at zero.
    """
    own = network.neck_student.pos_embed
    positions = getattr(teacher.network.image_encoder, "pos_embed", None)
    with torch.no_grad():
        own.zero_()
        if positions is not None and positions.shape == own.shape:
            own.copy_(positions)
