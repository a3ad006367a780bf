"""What a run depends on, so that it is continued only as what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotator.core.errors import UserError
from annotator.core.files import from_json, to_json

if TYPE_CHECKING:
    from annotator.core.prelabel.as_is import AnySource
    from models.api import Segmenter


class RefusedError(UserError):
    """Something was asked for that makes no sense; nothing was done."""


@dataclass(frozen=True, slots=True)
class Run:
    """The settings of a run.

    Attributes:
        settings: everything its proposals depend on but the images: JSON values.
    """

    settings: Mapping[str, Any]

    @classmethod
    def of(cls, segmenter: Segmenter | None, source: AnySource, **others: Any) -> Run:
        """What a model (None for masks as they are) and a source (and `others`) make."""
        model: dict[str, str] = {}
        if segmenter is not None:
            spec = segmenter.spec
            weights = str(getattr(segmenter, "fingerprint", ""))
            model = {"model": spec.id, "version": spec.version, "weights": weights}
        # Through JSON, because it is compared with what comes from there.
        return cls(from_json(to_json({**model, **source.settings, **others})))

    @property
    def id(self) -> str:
        """The fingerprint of the settings."""
        return hashlib.sha256(to_json(dict(sorted(self.settings.items())))).hexdigest()[:16]

    def check(self, other: Mapping[str, Any]) -> None:
        """Refuse to continue a run with other settings.

        Raises:
            RefusedError: names what is different.
        """
        names = sorted(self.settings.keys() | other.keys())
        pairs = [(name, other.get(name), self.settings.get(name)) for name in names]
        changed = [f"{name} was {_shown(old)}, is {_shown(new)}"
                   for name, old, new in pairs if old != new]  # fmt: skip
        if changed:
            raise RefusedError(
                f"The unfinished run had other settings: {'; '.join(changed)}.",
                "Say the same as then, or leave out --resume for a new run.",
            )


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
