"""Splits: seeds, ratios, classes and groups."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats.api import LabelledImage
from annotator.core.formats.splits import Splits, divided, parse_ratios
from models.api import Box
from tests.formats.contents import content_of_images


def content(keys, classes=lambda place: [1]):
    images = [
        LabelledImage(
            ImageRecord(key, place, 10, 10),
            tuple(Annotation(100 * place + i, Box(0, 0, 2, 2), c)
                  for i, c in enumerate(classes(place), 1)),
        )
        for place, key in enumerate(keys, 1)
    ]  # fmt: skip
    return content_of_images(images, [Category(i, f"c{i}", "#112233") for i in range(1, 4)])


def homes(content):
    return {image.record.key: image.split for image in content.images()}


def test_ratios_and_seeds():
    whole = content([f"{i}.png" for i in range(200)])
    first = homes(divided(whole, Splits((8, 1, 1), seed=1)))
    assert Counter(first.values()) == {"train": 160, "val": 20, "test": 20}
    assert homes(divided(whole, Splits((8, 1, 1), seed=1))) == first
    assert homes(divided(whole, Splits((8, 1, 1), seed=2))) != first


def test_every_class_is_divided_alike():
    # One image in twenty has the rare class.
    whole = content([f"{i}.png" for i in range(400)], lambda i: [1, 2] if i % 20 == 0 else [1])
    found = divided(whole, Splits((0.5, 0.25, 0.25)))
    rare = Counter(image.split for image in found.images() if len(image.annotations) == 2)
    assert rare == {"train": 10, "val": 5, "test": 5}
    assert Counter(homes(found).values()) == {"train": 200, "val": 100, "test": 100}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["folder", "sequence"]), st.booleans())
def test_groups_stay_together(seed, group, stratify):
    keys = [f"s{s}/shot{s % 3}_{i:03}.png" for s in range(12) for i in range(5)]
    found = homes(divided(content(keys), Splits((0.6, 0.2, 0.2), seed, stratify, group)))
    for folder in range(12):
        assert len({home for key, home in found.items() if key.startswith(f"s{folder}/")}) == 1
    assert set(found.values()) == {"train", "val", "test"}


def test_two_parts_and_bad_ratios():
    found = divided(content(["a.png", "b.png"]), Splits(parse_ratios("50/50")))
    assert found.splits == ("train", "val")
    assert set(homes(found).values()) == {"train", "val"}
    for text in ("", "80", "1/2/3/4", "a/b", "-1/2", "0/0"):
        with pytest.raises(UserError, match="80/10/10"):
            parse_ratios(text)
