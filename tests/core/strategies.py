"""Random annotations for property tests."""

import numpy as np
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, Origin, Source, Status
from models.api import Box, Point, Prompt

WIDTH, HEIGHT = 24, 16
numbers = st.floats(-1e6, 1e6, allow_nan=False)
texts = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
own_keys = st.text("abcxyz", min_size=1, max_size=6).map("x_".__add__)


@st.composite
def masks(draw):
    image = np.zeros((HEIGHT, WIDTH), bool)
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        w, h = draw(st.integers(1, WIDTH)), draw(st.integers(1, HEIGHT))
        image[y : y + h, x : x + w] ^= True
    image[0, 0] |= not image.any()
    return raster.from_array(image)


@st.composite
def boxes(draw):
    x, y = draw(st.integers(0, WIDTH - 2)), draw(st.integers(0, HEIGHT - 2))
    w, h = draw(st.integers(1, WIDTH - x)), draw(st.integers(1, HEIGHT - y))
    return Box(float(x), float(y), float(x + w), float(y + h))


prompts = st.builds(
    Prompt,
    st.lists(st.builds(Point, numbers, numbers, st.booleans()), max_size=3).map(tuple),
    st.none() | boxes(),
)
origins = st.builds(
    Origin,
    st.sampled_from(Source),
    texts,
    score=st.none() | st.floats(0, 1),
    prompt=prompts,
    stability=st.none() | st.floats(0, 1),
    follows=st.none() | st.integers(1, 10_000),
    edited=st.booleans(),
)


def annotations(ids=None, categories=None):
    return st.builds(
        Annotation,
        id=ids if ids is not None else st.integers(1, 10_000),
        shape=masks() | boxes(),
        category_id=categories if categories is not None else st.none() | st.integers(0, 50),
        origin=origins,
        is_crowd=st.booleans(),
        hidden=st.booleans(),
        locked=st.booleans(),
        attributes=st.dictionaries(texts, texts | st.booleans() | numbers, max_size=3),
        extra=st.dictionaries(own_keys, json_values, max_size=2),
        proposed=st.booleans(),
        status=st.sampled_from(Status),
        comment=texts,
        track=st.none() | st.integers(1, 10_000),
    )


categories = st.builds(
    Category, st.integers(0, 1000), st.text(min_size=1), st.just("#112233"), texts,
    st.dictionaries(own_keys, json_values, max_size=2),
    st.lists(st.text(min_size=1), max_size=2).map(tuple),
)  # fmt: skip
