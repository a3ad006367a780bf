"""DAVIS: a PNG with a palette for each frame; an object has the same number in all of a sequence.

A sequence is a folder of images. `ImageSets/2017/*.txt` lists the sequences of each part, and
`davis_semantics.json` has the names of the objects, as the file DAVIS 2017 was given later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats import png
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import load_json
from annotator.core.formats.layers import Layers, colours, label_picture, masks_of
from annotator.core.formats.reading import Reading, content_of, label_files
from annotator.core.formats.sequences import ALONE, Tracks, sequence_of, track_of
from annotator.core.formats.target import Target

ANNOTATIONS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/2017"
RESOLUTIONS = ("Full-Resolution", "480p")
SEMANTICS = "davis_semantics.json"
MOST = 254
"""255 is “nothing that counts” in DAVIS."""
_DAMAGED = "PNG files that are damaged or no labels"


# --- Out ---


def write(content: Content, target: Target) -> None:
    """`Annotations`, lists of sequences and names of objects; images are in `JPEGImages`."""
    names, palette = content.names(), colours()
    numbers: dict[str, dict[int | str, int]] = {}
    semantics: dict[str, dict[str, str]] = {}
    parts: dict[str, dict[str, None]] = {}
    for image in content.images():
        sequence = sequence_of(image.record.key) or ALONE
        parts.setdefault(image.split or "train", {}).setdefault(sequence)
        known = numbers.setdefault(sequence, {})
        name = PurePosixPath(ANNOTATIONS, RESOLUTIONS[0], _inside(image)).with_suffix(".png")
        if target.is_taken(str(name), image.record.key):
            continue
        layers = Layers.of(image, target, MOST, track_of)
        if layers is None:
            continue
        target.want_jpeg(image.record.key)
        values = [0]
        for annotation in layers.objects:
            number = known.setdefault(track_of(annotation), len(known) + 1)
            if number > MOST:
                target.lose(f"objects beyond {MOST} in one sequence", image.record.key)
                number = 0
            elif annotation.category_id is not None:
                semantics.setdefault(sequence, {})[str(number)] = names[annotation.category_id]
            values.append(number)
        index = np.array(values, np.uint8)[layers.index]
        target.write(str(name), [png.encode(index, palette)])
    for part, sequences in parts.items():
        target.write(f"{SETS}/{part}.txt", (f"{name}\n".encode() for name in sequences))
    target.write(SEMANTICS, [to_json(semantics)])


def _inside(image: LabelledImage) -> str:
    key = image.record.key
    return key if sequence_of(key) else f"{ALONE}/{key}"


@dataclass(frozen=True, slots=True)
class _Sequences(FormatSpec):
    def image_name(self, image: LabelledImage) -> str:
        """Images that are in no folder get one."""
        return f"{IMAGES}/{RESOLUTIONS[0]}/{_inside(image)}"


# --- In ---


def read(origin: Origin) -> Content:
    """A folder with `Annotations` and `JPEGImages`.

    Raises:
        UserError: there are no PNGs.
    """
    root = origin.path.parent if origin.path.name == ANNOTATIONS else origin.path
    base = _resolution(root / ANNOTATIONS)
    files = label_files(base, "*.png")
    images = root / IMAGES / base.name if base.name in RESOLUTIONS else root / IMAGES
    images = images if images.is_dir() else root
    names = _names(root / SEMANTICS)
    parts: dict[str, str] = {}
    for file in sorted((root / SETS).glob("*.txt")):
        lines = file.read_text("utf-8", "replace").splitlines()
        parts |= {line.strip(): file.stem for line in lines if line.strip() not in parts}
    parts = parts if len(set(parts.values())) > 1 else {}
    reading = Reading(origin.images or images)
    return content_of(reading, partial(_images, base, files, names, parts), root.name)


def _resolution(folder: Path) -> Path:
    found = [folder / name for name in RESOLUTIONS if (folder / name).is_dir()]
    return found[0] if found else folder


def _names(path: Path) -> dict[str, Any]:
    value = load_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise UserError(f"“{path}” is no list of names by sequence.", "Remove or repair it.")
    return value


def _images(
    base: Path, files: list[Path], names: dict[str, Any], parts: dict[str, str], reading: Reading
) -> Iterator[LabelledImage]:
    tracks = Tracks(reading)
    for file in files:
        name = file.relative_to(base).as_posix()
        found = reading.resolver.beside(name)
        if not found and name.startswith(f"{ALONE}/"):
            found = reading.resolver.beside(name.removeprefix(f"{ALONE}/"))
        key = reading.only([k for k in found if not k.startswith(f"{ANNOTATIONS}/")], name)
        record = reading.record(key) if key is not None else None
        if record is None:
            continue
        picture = label_picture(file, name, record, reading)
        if picture is None or picture.ndim != 2:
            if picture is not None:
                reading.lose(_DAMAGED, name)
            yield reading.labelled(record, [])
            continue
        sequence = sequence_of(name)
        known = names.get(sequence)
        named = known if isinstance(known, dict) else {}
        picture = np.where(picture == 255, 0, picture)
        objects = []
        for number, mask in masks_of(picture).items():
            given = named.get(str(number))
            category = reading.category(given if isinstance(given, str) else "")
            made = reading.annotation(mask, category)
            objects.append(tracks.joined(made, (sequence, number)))
        yield reading.labelled(record, objects, parts.get(sequence, ""))


def recognises(path: Path) -> bool:
    """A folder with PNGs in `Annotations`."""
    root = path.parent if path.name == ANNOTATIONS else path
    folder = root / ANNOTATIONS
    return folder.is_dir() and next(_resolution(folder).rglob("*.png"), None) is not None


SPEC = _Sequences(
    "davis", "DAVIS", "Palette PNGs for sequences of images; where objects overlap, the upper one.",
    write, read, recognises, images=f"{IMAGES}/{RESOLUTIONS[0]}",
)  # fmt: skip
