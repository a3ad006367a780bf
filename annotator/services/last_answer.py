"""`LastAnswer`: a click repeats the question that the pointer asked where it rested."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.api import Embedding, MaskCandidate, Prompt, Segmenter


class LastAnswer:
    """Keeps what a model said last; used by the thread of the model.

    Models answer the same question the same way, so a preview that was painted under the pointer
    is the answer to the click there, without the 10 to 80 ms of asking again.
    """

    def __init__(self) -> None:
        self._question: tuple[Segmenter, Embedding, Prompt] | None = None
        self._answer: tuple[MaskCandidate, ...] = ()

    def decode(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        prompt: Prompt,
        ask: Callable[[], tuple[MaskCandidate, ...]],
    ) -> tuple[MaskCandidate, ...]:
        """The candidates for a prompt; `ask` is called unless they are what was asked last."""
        known = self._question
        if (
            known is None
            or known[0] is not segmenter
            or known[1] is not embedding
            or known[2] != prompt
        ):
            self._question = None
            self._answer = ask()
            self._question = segmenter, embedding, prompt
        return self._answer

    def forget(self) -> None:
        """Let go of the embedding."""
        self._question = None
        self._answer = ()
