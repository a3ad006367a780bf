"""CLIP2SAM: mask decoder and pyramid learn masks and names together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.api import ModelError
from models.naming.classifier import Names
from models.networks.name_scores import NameScores
from models.networks.ovsam import POOLED, ImageFeatures, OpenVocabularySam
from models.networks.sam import Sam
from models.training.evaluation.dataset import Picture
from models.training.ovsam.learner import Learner
from models.training.ovsam.losses import class_loss, mask_loss, unsure_places
from models.training.ovsam.settings import Settings
from models.training.ovsam.views import View, make_view


class HeadLearner(Learner):
    """Trains mask decoder, pyramid and the head for vectors; CLIP, neck and prompts are frozen.

    Args:
        network: trained in place.
        pictures: labelled images; those without an object of a known class are left out.
        rows: row in `names` by number of the class.
        names: vectors of the names of all classes.
        settings: how.
        device: "cpu" or "cuda".
        pooled: side in cells of what is read of an object.

    Raises:
        ModelError: the names are of another space, or there is nothing to learn from.
    """

    form = "annotator-clip2sam-1"
    parts = ("mask_decoder", "fpn_neck")

    def __init__(
        self,
        network: OpenVocabularySam,
        pictures: Sequence[Picture],
        rows: Mapping[int, int],
        names: Names,
        settings: Settings,
        device: str = "cpu",
        pooled: int = POOLED,
    ) -> None:
        length = network.sizes.clip.vectors
        if names.rows.shape[1] != length:
            raise ModelError(
                f"The vectors of names have {names.rows.shape[1]} dimensions, but objects get "
                f"{length}. Use those of the same CLIP model."
            )
        used = [one for one in pictures if any(truth.category_id in rows for truth in one.objects)]
        if not used:
            raise ModelError("No image has an object of a class whose name is known.")
        super().__init__(network, settings, len(used), device)
        # The published code multiplies what this makes by zero.
        network.mask_decoder.label_mlp.requires_grad_(False)
        self._pictures = used
        self._rows = dict(rows)
        self._scores = NameScores(names, self._device)
        digest = hashlib.sha256(names.rows.tobytes() + repr(sorted(rows.items())).encode())
        self._names = digest.hexdigest()[:16]
        self._pooled = pooled

    def _learn_from(self, rng: np.random.Generator, index: int) -> tuple[Tensor, float | None]:
        settings, side = self.settings, self.network.sizes.neck.side
        view = make_view(
            rng, self._pictures[index], self._rows, side, settings.zoom, settings.objects
        )
        features = self._features(torch.from_numpy(view.pixels).to(self._device))
        if not len(view.classes):
            return sum((level.sum() for level in features.pyramid), torch.zeros(())) * 0, None
        logits = self._asked(view, features.image)
        masks = torch.from_numpy(view.masks).to(self._device).float()
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        places = unsure_places(logits, settings.samples, generator)
        # Names are read under the true boxes.
        vectors = self.network.vectors(
            features.pyramid, torch.from_numpy(view.boxes).to(self._device), self._pooled
        )
        classes = torch.from_numpy(view.classes).to(self._device)
        loss = mask_loss(logits, masks, places) + class_loss(self._scores(vectors), classes)
        return loss, _mean_iou(logits.detach(), masks)

    def _features(self, pixels: Tensor) -> ImageFeatures:
        """As `OpenVocabularySam.encode`; only the pyramid remembers how it came about."""
        from models.networks.ovsam.backbone import levels

        with torch.no_grad():
            found = list(levels(self.network.visual, pixels))
            image = self.network.neck_student(found)
        return ImageFeatures(image, tuple(self.network.fpn_neck(found)), found[-1])

    def _asked(self, view: View, image: Tensor) -> Tensor:
        """Logits (n, S / 4, S / 4) for all prompts of a view."""
        prompts = self.network.prompt_encoder
        with torch.no_grad():
            sparse = prompts.embed_tokens(
                torch.from_numpy(view.coords).to(self._device),
                torch.from_numpy(view.labels).to(self._device),
            )
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
            positions = prompts.dense_positions()
        logits: Tensor = self.network.mask_decoder(image, positions, sparse, dense)[0]
        return logits

    def _data(self) -> str:
        return self._names


def begin_heads(network: OpenVocabularySam, sam: Sam) -> None:
    """SAM's prompt encoder and mask decoder, reduced to one mask token.

    The label token, whose beginning is not published, begins as the quality token it replaces.

    Raises:
        ModelError: SAM has other sizes.
    """
    own, theirs = network.mask_decoder, sam.mask_decoder
    inner = own.mask_decoder
    pairs = (
        (network.prompt_encoder, sam.prompt_encoder),
        (inner.transformer, theirs.transformer),
        (inner.output_upscaling, theirs.output_upscaling),
        (inner.output_hypernetworks_mlps[0], theirs.output_hypernetworks_mlps[0]),
        (own.label_token, theirs.iou_token),
    )
    try:
        for mine, model in pairs:
            mine.load_state_dict(model.state_dict())
        with torch.no_grad():
            inner.mask_tokens.weight.copy_(theirs.mask_tokens.weight[:1])
    except RuntimeError as error:
        raise ModelError("This model's mask decoder has other sizes than SAM's.") from error


def _mean_iou(logits: Tensor, masks: Tensor) -> float:
    small = F.interpolate(masks[:, None], logits.shape[1:], mode="area")[:, 0] > 0.5
    found = logits > 0
    union = (found | small).sum((1, 2))
    ious = (found & small).sum((1, 2)) / union.clamp(min=1)
    return float(torch.where(union > 0, ious, torch.ones_like(ious)).mean())
