import json

from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core import codec, raster
from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.files import from_json, to_json
from tests.core.strategies import annotations, categories, json_values, masks, prompts


def through_text(value):
    return from_json(to_json(value))


@settings(max_examples=60)
@given(annotations())
def test_annotations_survive_the_journal(annotation):
    value = through_text(codec.annotation_to_json(annotation))
    assert codec.annotation_from_json(value) == annotation


@given(masks())
def test_polygons_and_their_mask_survive(mask):
    rings = raster.exact_polygons(mask)
    annotation = Annotation(1, mask, polygons=rings)
    value = through_text(codec.annotation_to_json(annotation))
    assert codec.annotation_from_json(value) == annotation


def test_a_mask_can_be_left_out_in_favour_of_its_polygons():
    mask = raster.from_polygons([[2, 2, 9, 2, 9, 7, 2, 7]], 20, 10)
    value = {
        "id": 3,
        "category": None,
        "origin": {"source": "import"},
        "polygons": [[2, 2, 9, 2, 9, 7, 2, 7]],
        "size": [10, 20],
    }
    expected = Annotation(
        3, mask, origin=Origin(Source.IMPORT), polygons=((2, 2, 9, 2, 9, 7, 2, 7),)
    )
    assert codec.annotation_from_json(value) == expected


@settings(max_examples=40)
@given(categories)
def test_categories_survive(category):
    assert codec.category_from_json(through_text(codec.category_to_json(category))) == category


@settings(max_examples=40)
@given(prompts)
def test_prompts_survive(prompt):
    assert codec.prompt_from_json(through_text(codec.prompt_to_json(prompt))) == prompt


@settings(max_examples=60)
@given(json_values)
def test_json_survives_and_every_reader_understands_it(value):
    text = to_json(value)
    assert from_json(text) == value
    assert json.loads(text) == value


def test_json_never_refuses():
    odd = {"big": 2**80, 3: "key", "bytes": "a\udcff", "path": object, "tuple": (1, 2)}
    again = json.loads(to_json(odd))
    assert again["big"] == 2**80
    assert again["bytes"] == "a\udcff"
    assert json.loads(to_json({"a": float("nan")})) == {"a": None}


@given(st.text())
def test_text_survives(text):
    assert from_json(to_json(text)) == text
