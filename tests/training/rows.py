"""Rows of a report for tests of what is made of them."""

from __future__ import annotations

from models.training.evaluation.report import STEPS, Answer, Row


def row(
    iou: float = 0.5, *, area: int = 2000, category: str = "box", clicks: tuple[float, ...] = ()
) -> Row:
    answers = {step: Answer(iou, iou, iou / 2, 0.8, 0.9) for step in STEPS}
    return Row("a.png", 1, category, area, answers, 0.4, 0.6, clicks)
