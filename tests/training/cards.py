"""What is known of an adapted model, made up; without torch."""

from __future__ import annotations

from models.adapted import GRAPHS, MEASURED, WEIGHTS, AdaptedModel, AdaptedStore, Card


def card(project: str = "base", fingerprint: str = "") -> Card:
    zero = dict.fromkeys(MEASURED, 0.0)
    half = dict.fromkeys(MEASURED, 0.5)
    return Card(
        f"Loupe, adapted to {project}", "loupe", project, "2026-11-21", "decoder",
        9, 27, 3, 9, 20, zero, half, fingerprint,
    )  # fmt: skip


def offer(project: str = "photos ✿", store: AdaptedStore | None = None) -> AdaptedModel:
    """A model whose graphs are never loaded."""
    store = store or AdaptedStore()
    with store.work() as work:
        made = work / "model"
        made.mkdir()
        for name in (*GRAPHS, WEIGHTS):
            (made / name).write_bytes(b"x")
        return store.put(made, card(project))
