"""Going on from an object's mask with the model: an open prompt that starts with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.prompting import PromptDraft
from annotator.core.proposals import accepted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annotator.services.answering import Finished
    from annotator.services.document import Document
    from annotator.services.mask_editing import MaskEditing


def opened(chosen: Sequence[Annotation]) -> PromptDraft:
    """The prompt that refines the selected object.

    Raises:
        UserError: not one mask that may be changed is selected.
    """
    if len(chosen) != 1 or not isinstance(chosen[0].shape, Mask) or chosen[0].locked:
        raise UserError(
            "The model goes on from one mask.", "Select one object that has a mask, not locked."
        )
    from annotator.core import raster
    from models.api import MaskPrompt

    piece = raster.crop(chosen[0].shape)
    return PromptDraft(start=MaskPrompt(piece.x, piece.y, piece.pixels), target=chosen[0].id)


def kept(
    document: Document,
    masks: MaskEditing,
    finished: Finished,
    draft: PromptDraft,
    category_id: int | None,
) -> bool:
    """Give the object its refined mask: one undo step, the same number and class.

    Args:
        document: the project.
        masks: who owns pixels that objects share.
        finished: the mask.
        draft: the prompt that made it.
        category_id: another class, if one was chosen.

    Returns:
        False when the object is not there any more.
    """
    before = document.annotations(finished.key)
    target = next((a for a in before if a.id == draft.target), None)
    if target is None:
        return False
    name = target.category_id if category_id is None else category_id
    after = replace(target, category_id=name)
    if target.shape != finished.mask:
        # The model has a part in it, and so has whoever made the mask it began with.
        origin = Origin(
            Source.MODEL, finished.model.id, finished.model.version, finished.score,
            replace(draft.prompt, start=None), edited=True,
        )  # fmt: skip
        after = replace(accepted(after), shape=finished.mask, polygons=None, origin=origin)
    if after != target:
        objects = tuple(after if a.id == target.id else a for a in before)
        word = "object" if name is None else document.category(name).name
        document.edit(finished.key, masks.settled(before, objects), f"Refine {word}")
    return True
