"""Reports side by side as Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from models.training.evaluation.clicks import MOST
from models.training.evaluation.published import DATA, PUBLISHED
from models.training.evaluation.report import HEADLINE, STEPS, Report
from models.training.evaluation.statistics import summary

Summary = Mapping[str, Any]
Rows = Iterable[tuple[str, Sequence[str]]]
FEWEST = 5
"""Objects a class needs for a line of its own in Markdown; JSON has all classes."""


def as_json(reports: Sequence[Report]) -> str:
    """All numbers of several reports; what is undefined is null."""
    content = {
        "models": [summary(report) for report in reports],
        "published": [asdict(entry) | {"data": DATA} for entry in PUBLISHED],
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Rounded to what is meant, NaN as None: JSON has no NaN."""
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def as_markdown(reports: Sequence[Report], plots: Sequence[str] = ()) -> str:
    """The tables, one model a row.

    Args:
        reports: at least one, all of the same data and options.
        plots: file names of pictures to show, relative to the document.
    """
    found = [summary(report) for report in reports]
    parts = [
        _introduction(found[0]),
        *_iou_parts(found),
        *_size_parts(found),
        *_score_parts(found),
        *_click_parts(found),
        *_detection_parts(found),
        *_time_parts(found),
        *_category_parts(found),
        *(f"![{name.removesuffix('.png')}]({name})" for name in plots),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(first: Summary) -> str:
    counts = {size: group["objects"] for size, group in first["sizes"].items()}
    error = max((e for e in first["standard_error"].values() if math.isfinite(e)), default=math.nan)
    return (
        f"# Evaluation on {first['dataset']}\n\n"
        f"{first['images']} images, {counts['all']} objects: {counts['small']} small (below 32² "
        f"pixels), {counts['medium']} medium, {counts['large']} large (96² and more). Means are "
        f"over the {counts[HEADLINE]} objects of {HEADLINE} pixels unless a table says otherwise, "
        f"of the candidate shown first, with a standard error of about {_number(error)}. Box: the "
        "tight box of the mask. Point: the pixel farthest from the edge of the mask. +1, +2: "
        "points drawn uniformly from where answer and truth disagree "
        f"(seed {first['seed']}); points accumulate.\n\n"
        f"Rows in italics are published numbers for {DATA}, objects of all sizes; they were not "
        "measured here and are for orientation only."
    )


def _iou_parts(found: Sequence[Summary]) -> list[str]:
    def cells(model: Summary, value: str) -> list[str]:
        steps = model["sizes"][HEADLINE]["steps"]
        return [_number(steps[step][value]) for step in STEPS]

    headline = found[0]["sizes"][HEADLINE]
    rows = [(model["model"], cells(model, "iou")) for model in found]
    rows += [
        ("the box itself", [_number(headline["box_itself"])]),
        ("the ellipse in the box", [_number(headline["ellipse"])]),
    ]
    rows += [
        (f"*{entry.model} (published)*", [f"*{_number(v)}*" for v in entry.ious])
        for entry in PUBLISHED
        if entry.ious
    ]
    oracle = [(model["model"], cells(model, "oracle")) for model in found]
    border = [(model["model"], cells(model, "boundary")) for model in found]
    return [
        "## Mean IoU",
        _table("model", STEPS, rows),
        "## Mean IoU of the best candidate (oracle)",
        _table("model", STEPS, oracle),
        "## Boundary IoU (band of 0.02 image diagonals)",
        _table("model", STEPS, border),
    ]


def _size_parts(found: Sequence[Summary]) -> list[str]:
    rows = []
    for model in found:
        for size in ("small", "medium", "large"):
            group = model["sizes"][size]
            cells = [_number(group["steps"][step]["iou"]) for step in STEPS]
            rows.append((f"{model['model']}, {size}", [str(group["objects"]), *cells]))
    return ["## By size", _table("model", ("objects", *STEPS), rows)]


def _score_parts(found: Sequence[Summary]) -> list[str]:
    rows = []
    for model in found:
        for kind, values in model["calibration"].items():
            steps = model["sizes"][HEADLINE]["steps"]
            means = [_number(steps[kind][value]) for value in ("score", "iou", "stability")]
            numbers = [_number(values[name]) for name in ("error", "pearson", "spearman")]
            rows.append((f"{model['model']}, {kind}", [*means, *numbers]))
    columns = ("mean score", "mean IoU", "stability", "ECE", "Pearson", "Spearman")
    return [
        "## Score",
        "What the model says of its answer against its IoU. ECE (10 bins) and correlations are "
        "over the first answer and its two corrections.",
        _table("model", columns, rows),
    ]


def _click_parts(found: Sequence[Summary]) -> list[str]:
    targets = next((m["clicks"]["targets"] for m in found if m["clicks"]["objects"]), None)
    if targets is None:
        return []
    columns = ["objects"]
    for entry in targets:
        columns += [f"NoC@{100 * entry['target']:.0f}", "not reached"]
    rows = []
    for model in found:
        cells = [str(model["clicks"]["objects"])]
        for entry in model["clicks"]["targets"]:
            cells += [f"{entry['mean']:.2f}", f"{100 * entry['failed']:.0f} %"]
        rows.append((model["model"], cells))
    return [
        "## Number of clicks",
        f"Mean clicks until the mask has an IoU of 0.85 and 0.90, at most {MOST}, each at the "
        "centre of the largest error.",
        _table("model", columns, rows),
    ]


def _detection_parts(found: Sequence[Summary]) -> list[str]:
    columns = next((list(m["detections"]) for m in found if m["detections"]), None)
    if columns is None:
        return []
    rows = [
        (model["model"], [_number(value) for value in model["detections"].values()])
        for model in found
    ]
    for entry in PUBLISHED:
        if entry.precision:
            known = [entry.precision.get(name) for name in columns]
            cells = ["" if value is None else f"*{_number(value)}*" for value in known]
            rows.append((f"*{entry.model} (published)*", cells))
    return [
        "## COCO AP with a detector's boxes",
        "Masks of objects of all sizes; class and score are the detector's, “box AP” is its own. "
        "Published: with ViTDet-H (box AP 0.587).",
        _table("model", columns, rows),
    ]


def _time_parts(found: Sequence[Summary]) -> list[str]:
    steps = list(dict.fromkeys(step for model in found for step in model["milliseconds"]))

    def cell(model: Summary, step: str) -> str:
        values = model["milliseconds"].get(step)
        return f"{values['median']:.1f} ({values['p95']:.1f})" if values else ""

    rows = [(model["model"], [cell(model, step) for step in steps]) for model in found]
    return [
        "## Milliseconds",
        "Median (95th percentile). Encode: once per image. Decode and render: once per click.",
        _table("model", steps, rows),
    ]


def _category_parts(found: Sequence[Summary]) -> list[str]:
    categories = found[0]["categories"]
    often = [name for name, group in categories.items() if group["objects"] >= FEWEST]
    often.sort(key=lambda name: -categories[name]["objects"])
    if not often:
        return []
    columns = ["objects"]
    for model in found:
        columns += [f"{model['model']}, {step}" for step in ("box", "point")]

    def cells(name: str) -> list[str]:
        groups = [model["categories"][name]["steps"] for model in found]
        ious = [_number(steps[step]["iou"]) for steps in groups for step in ("box", "point")]
        return [str(categories[name]["objects"]), *ious]

    return [
        f"## By class (those with {FEWEST} objects or more)",
        _table("class", columns, [(name, cells(name)) for name in often]),
    ]


def _table(first: str, columns: Sequence[str], rows: Rows) -> str:
    """A Markdown table; what a row lacks at its end stays empty."""
    lines = [_line([first, *columns]), "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows:
        lines.append(_line([name, *cells, *[""] * (len(columns) - len(cells))]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"
