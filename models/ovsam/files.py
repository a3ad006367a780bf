"""Which files Open-Vocabulary SAM is put together from; nothing heavy to import."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.api import ModelError
from models.weights import Weight, WeightStore

TOWER = "clip-rn50x16"
"""The backbone; the same file holds the text tower whose vectors names are ranked by."""
PROMPT_ENCODERS = ("edgesam-3x", "edgesam", "mobilesam", "sam-vit-h")
"""Files with SAM ViT-H's prompt encoder, small ones first: EdgeSAM and MobileSAM kept it frozen.
The file of SAM itself has 2.5 GB."""
PYRAMID = ("p2", "p3", "p4", "p5")
"""Arrays of an embedding that vectors of objects are read from, the finest first."""
LAST_LEVEL = "clip"
"""CLIP's own last level, in the same embedding."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One set of published weights.

    Attributes:
        neck: `Weight.id` of the neck's file.
        heads: of the files with mask decoder and pyramid.
        pooled: side in cells of what is read of an object, as in training.
    """

    neck: str
    heads: tuple[str, ...]
    pooled: int = 7


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "ovsam": Variant("ovsam-neck", ("ovsam-decoder", "ovsam-fpn")),
        "ovsam-eval-lvis": Variant("ovsam-evaluated-neck", ("ovsam-evaluated-lvis",)),
        "ovsam-eval-coco": Variant("ovsam-evaluated-neck", ("ovsam-evaluated-coco",), pooled=12),
    }
)
"""By `SegmenterSpec.id`."""


@dataclass(frozen=True, slots=True)
class OvsamFiles:
    """What a network is loaded from.

    Attributes:
        tower: CLIP's weights.
        neck: has `neck_student.*`.
        heads: have `mask_decoder.*`, `fpn_neck.*` and perhaps `roi_conv.*`, which overrides the
            decoder's.
        prompts: has `prompt_encoder.*`.
    """

    tower: Path
    neck: Path
    heads: tuple[Path, ...]
    prompts: Path


def missing(model_id: str) -> str | None:
    """None when all files are there, else a sentence saying how to get them."""
    store = WeightStore()
    absent = [one for one in _own(model_id) if store.local_path(one) is None]
    if _prompt_encoder(store) is None:
        absent.append(_weight(PROMPT_ENCODERS[0]))
    if not absent:
        return None
    names = ", ".join(f"“{one.file_name}” ({one.licence.name})" for one in absent)
    kind, verb = ("file", "is") if len(absent) == 1 else ("files", "are")
    return (
        f"The {kind} {names} {verb} missing. Get them in Settings, Model, or with: "
        f"annotator models get {' '.join(one.id for one in absent)}"
    )


def present(model_id: str) -> tuple[OvsamFiles, str]:
    """The genuine files of a model, and a fingerprint of their content.

    Raises:
        ModelError: one is missing or another file.
    """
    from models.weight_files import file_hash

    if reason := missing(model_id):
        raise ModelError(reason)
    store = WeightStore()
    prompts = _prompt_encoder(store)
    assert prompts is not None
    weights = (*_own(model_id), prompts)
    paths = [store.verified_path(one) for one in weights]
    tower, neck, *heads = paths[:-1]
    digest = hashlib.sha256()
    for weight, path in zip(weights, paths, strict=True):
        digest.update((weight.sha256 or file_hash(path)).encode())
    return OvsamFiles(tower, neck, tuple(heads), paths[-1]), digest.hexdigest()[:16]


def _own(model_id: str) -> tuple[Weight, ...]:
    variant = VARIANTS[model_id]
    return tuple(_weight(name) for name in (TOWER, variant.neck, *variant.heads))


def _prompt_encoder(store: WeightStore) -> Weight | None:
    known = (_weight(name) for name in PROMPT_ENCODERS)
    return next((one for one in known if store.local_path(one) is not None), None)


def _weight(name: str) -> Weight:
    from models.catalog import WEIGHTS

    return WEIGHTS[name]
