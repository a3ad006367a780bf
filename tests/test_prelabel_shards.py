"""A run in shards: the same proposals as on one machine, whatever happens on the way.

The workers are real, Ray is left out: see `test_prelabel_ray.py`.
"""

# ruff: noqa: F811

from __future__ import annotations

import json
import pickle
import random
import shutil
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PySide6.QtWidgets import QApplication

from annotator.app import main
from annotator.commands import prelabel_ray
from annotator.core.prelabel.open_names import OpenNames
from annotator.core.prelabel.storage import Storage
from annotator.core.prelabel.worker import Job, Order, Report, Worker
from annotator.core.proposals import accepted
from annotator.services.document import Document
from models.api import ModelError
from models.labelling import LabellerSpec
from models.naming.sight import LazySight
from tests.models.toy_segmenter import ToyModel, register
from tests.test_prelabel_command import FAST, KEYS, detection, detections, draw, square, state
from tests.test_prelabel_kinds import bright  # noqa: F401
from tests.test_prelabel_names import clip, words  # noqa: F401

Orders = Sequence[Order]


@pytest.fixture(autouse=True)
def application(qapp: QApplication) -> QApplication:
    return qapp


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyModel:
    model = ToyModel()
    register(monkeypatch, model)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images in the order of `KEYS`."""
    folder = tmp_path / "images"
    (folder / "inner").mkdir(parents=True)
    for number, key in enumerate(KEYS):
        draw(folder / key, number)
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Orders], Orders]], None]:
    """Two workers in this process; the function decides what is done in which order."""

    def use(chosen: Callable[[Orders], Orders]) -> None:
        def reports(given: Namespace, job: Job, orders: Orders) -> Iterator[Report]:
            workers = [Worker(pickle.loads(pickle.dumps(job))) for _ in range(2)]
            for number, order in enumerate(chosen(orders)):
                yield workers[number % 2].do(pickle.loads(pickle.dumps(order)))

        monkeypatch.setattr(prelabel_ray, "_reports", reports)
        monkeypatch.setattr(prelabel_ray, "_cluster", lambda given: nullcontext())

    use(list)
    return use


def shuffled(orders: Orders) -> Orders:
    """Any order, and everything twice, as when answers of workers are lost."""
    both = [*orders, *orders]
    random.Random(3).shuffle(both)
    return both


def call(folder: Path | str, *arguments: str) -> int:
    return main(["prelabel", str(folder), *FAST, *arguments])


def on_ray(folder: Path | str, *arguments: str) -> int:
    return call(folder, "--engine", "ray", "--shard-size", "2", *arguments)


def merge(out: Path, *shards: Path | str) -> int:
    return main(["merge-proposals", *map(str, shards), "--out", str(out)])


def single(folder: Path, tmp_path: Path, *arguments: str) -> bytes:
    """The results of one machine."""
    out = tmp_path / "single.json"
    call(folder, "--out", str(out), *arguments)
    return out.read_bytes()


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def shard(folder: Path, first: int) -> Path:
    (found,) = folder.glob(f"shard-{first:012d}-*.json")
    return found


def test_the_file_is_that_of_one_machine(
    folder: Path, tmp_path: Path, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = single(folder, tmp_path)
    capsys.readouterr()
    cluster(shuffled)
    assert on_ray(folder, "--out", str(tmp_path / "out.json"), "--json") == 0
    told = summary(capsys)
    assert (tmp_path / "out.json").read_bytes() == expected
    assert len(json.loads(expected)) == 20
    assert (told["images"], told["failed"], told["stopped"]) == (5, {}, "")
    parts = sorted((tmp_path / "out.json.shards").glob("proposals-*.json"))
    assert sum(len(json.loads(part.read_bytes())) for part in parts) == 20
    assert len(parts) == 3


def test_boxes_names_scope_and_limit_are_those_of_one_machine(
    folder: Path, tmp_path: Path, cluster: Any
) -> None:
    entries = [detection(key, square(0, n), f"c{n}") for n, key in enumerate(KEYS)]
    entries[1]["category_id"] = 7
    boxes = detections(tmp_path / "boxes.json", *entries)
    asked = ("--boxes", boxes, "--limit", "3", "--out")
    one = main(["prelabel", str(folder), "--model", "toy", *asked, str(tmp_path / "a.json")])
    many = main(
        ["prelabel", str(folder), "--model", "toy", "--engine", "ray", "--shard-size", "1",
         *asked, str(tmp_path / "b.json")]
    )  # fmt: skip
    assert (one, many) == (0, 0)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert len(json.loads((tmp_path / "b.json").read_bytes())) == 3


def both_ways(folder: Path, tmp_path: Path, *asked: str) -> list[dict[str, Any]]:
    """What one machine and workers propose; the same."""
    one, many = tmp_path / "a.json", tmp_path / "b.json"
    assert main(["prelabel", str(folder), *asked, "--out", str(one)]) == 0
    ray = ("--engine", "ray", "--shard-size", "2")
    assert main(["prelabel", str(folder), *asked, *ray, "--out", str(many)]) == 0
    assert many.read_bytes() == one.read_bytes()
    found = json.loads(many.read_bytes())
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("boxes", [False, True])
def test_names_from_a_vocabulary_are_those_of_one_machine(
    boxes: bool,
    folder: Path,
    tmp_path: Path,
    cluster: Any,
    clip: None,
    words: str,
) -> None:
    cluster(shuffled)
    asked = [*FAST, "--vocabulary", words, "--min-name-score", "0"]
    if boxes:
        entries = [detection(key, square(0, n), "") for n, key in enumerate(KEYS)]
        asked = [
            "--model",
            "toy",
            *asked[-4:],
            "--boxes",
            detections(tmp_path / "x.json", *entries),
        ]
    found = both_ways(folder, tmp_path, *asked)
    assert {one["category"] for one in found} <= {"cat", "dog", "apple"}
    assert len(found) == 5 if boxes else 20


def test_a_model_for_names_that_a_worker_misses_stops_the_run(
    folder: Path, tmp_path: Path, cluster: Any, clip: None, words: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def missing(self: LazySight, *_: Any) -> None:
        raise ModelError("Its file is not here.")

    monkeypatch.setattr(OpenNames, "prepare", missing)
    assert on_ray(folder, "--vocabulary", words, "--out", str(tmp_path / "o.json")) == 1
    assert "Its file is not here." in capsys.readouterr().err


def test_a_labeller_answers_as_on_one_machine(
    folder: Path, tmp_path: Path, cluster: Any, bright: LabellerSpec
) -> None:
    document = Document.open(folder)
    document.add_category("coin")
    document.close()
    cluster(shuffled)
    found = both_ways(folder, tmp_path, "--labeller", "bright")
    assert {one["category"] for one in found} == {"coin"}
    assert len(found) == 5


def test_known_objects_are_found_again_as_on_one_machine(
    folder: Path, tmp_path: Path, cluster: Any, toy: ToyModel
) -> None:
    assert main(["prelabel", str(folder), *FAST, "--limit", "1"]) == 0
    document = Document.open(folder)
    tile = document.add_category("tile").id
    mine = tuple(accepted(one, tile) for one in document.annotations(KEYS[0]))
    document.edit(KEYS[0], mine, "Accept")
    document.close()
    cluster(shuffled)
    found = both_ways(folder, tmp_path, "--model", "toy", "--again")
    assert {one["category"] for one in found} == {"tile"}
    assert {one["file_name"] for one in found} == set(KEYS[1:])


def test_merged_results_are_the_same_proposals_in_a_project(
    folder: Path, tmp_path: Path, cluster: Any, toy: ToyModel
) -> None:
    cluster(shuffled)
    assert on_ray(folder, "--out", str(tmp_path / "out.json")) == 0
    direct = tmp_path / "direct"
    shutil.copytree(folder, direct)
    assert call(direct) == 0
    toy.calls.clear()
    assert main(["prelabel", str(folder), "--boxes", str(tmp_path / "out.json"), "--as-is"]) == 0
    assert not toy.calls
    assert state(folder) == state(direct)


def test_images_and_shards_on_other_storage(folder: Path, tmp_path: Path, cluster: Any) -> None:
    (folder / "inner" / "broken.png").write_bytes(b"no image")
    expected = single(folder, tmp_path)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(path, f"pictures/{path.relative_to(folder).as_posix()}")
    images = f"zip://pictures::file://{tmp_path / 'all.zip'}"
    shards = "memory://here/run"
    assert list(Storage.at(images).image_keys()) == [*KEYS, "inner/broken.png"]
    assert on_ray(images, "--shards", shards) == 1
    assert merge(tmp_path / "out.json", shards) == 1
    assert (tmp_path / "out.json").read_bytes() == expected
    fsspec.filesystem("memory").rm("/here", recursive=True)


def test_what_is_done_is_not_done_again(
    folder: Path, tmp_path: Path, toy: ToyModel, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = single(folder, tmp_path)
    cluster(lambda orders: orders[1:2])
    out = ("--out", str(tmp_path / "out.json"))
    assert on_ray(folder, *out) == 2  # the merge misses two shards
    assert "is missing" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
    cluster(list)
    toy.calls.clear()
    assert on_ray(folder, *out) == 2
    assert "Continue it with --resume" in capsys.readouterr().err
    assert on_ray(folder, *out, "--resume", "--json") == 0
    told = summary(capsys)
    assert (told["made"], told["resumed"], len(toy.calls)) == (3, 2, 3)
    assert (tmp_path / "out.json").read_bytes() == expected
    assert call(folder, "--engine", "ray", *out, "--resume", "--min-score", "0.1") == 2
    assert "min_score was" in capsys.readouterr().err


def test_an_unreadable_image_is_told_and_tried_again(
    folder: Path, tmp_path: Path, toy: ToyModel, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = single(folder, tmp_path)
    good = (folder / KEYS[2]).read_bytes()
    (folder / KEYS[2]).write_bytes(b"")
    out = ("--out", str(tmp_path / "out.json"), "--json")
    capsys.readouterr()
    assert on_ray(folder, *out) == 1
    told = summary(capsys)
    assert (told["made"], told["stopped"]) == (4, "")
    assert "is empty" in told["failed"][KEYS[2]]
    (folder / KEYS[2]).write_bytes(good)
    toy.calls.clear()
    assert on_ray(folder, *out, "--resume") == 0
    assert len(toy.calls) == 1
    assert summary(capsys)["resumed"] == 4
    assert (tmp_path / "out.json").read_bytes() == expected


@pytest.fixture
def done(folder: Path, tmp_path: Path, cluster: Any) -> Path:
    """The shards of a finished run."""
    assert on_ray(folder, "--shards", str(tmp_path / "run")) == 0
    return tmp_path / "run"


def test_shards_of_two_folders_are_one_run(
    folder: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_ray(folder, "--shards", str(tmp_path / "other")) == 0
    shard(done, 0).unlink()
    assert merge(tmp_path / "out.json", done, tmp_path / "other") == 0
    assert "3 shards, 2 of them twice" in capsys.readouterr().out
    assert (tmp_path / "out.json").read_bytes() == single(folder, tmp_path)


@pytest.mark.parametrize("where", ["missing", "cut", "changed", "record", "overlap", "plan"])
def test_contradictions_are_refused_by_name(
    where: str, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    out.write_text("[]\n")
    record = shard(done, 2)
    results = done / json.loads(record.read_bytes())["results"]
    named = record
    if where == "missing":
        record.unlink()
    elif where == "cut":
        results.write_bytes(results.read_bytes()[:-4])
        named = results
    elif where == "changed":
        results.write_bytes(results.read_bytes().replace(b'"score":0.9', b'"score":0.8', 1))
        named = results
    elif where == "record":
        record.write_bytes(record.read_bytes()[:50])
    elif where == "overlap":
        value = {**json.loads(record.read_bytes()), "first": 3, "last": 4}
        named = done / "shard-000000000003-000000000004.json"
        named.write_text(json.dumps(value))
    else:
        named = done / "plan.json"
        named.unlink()
    assert merge(out, done) == 2
    assert named.name in capsys.readouterr().err
    assert out.read_text() == "[]\n"


def test_other_settings_and_other_content_are_refused(
    folder: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert on_ray(folder, "--shards", str(other), "--min-score", "0.2") == 0
    assert merge(tmp_path / "out.json", done, other) == 2
    assert f"“{other}/plan.json” is the plan of another run" in capsys.readouterr().err
    shard(done, 0).write_bytes(shard(other, 0).read_bytes())
    assert merge(tmp_path / "out.json", done) == 2
    assert "min_score: 0.2" in capsys.readouterr().err
    changed = tmp_path / "changed"
    draw(folder / KEYS[2], 9)  # another image under the same name
    assert on_ray(folder, "--shards", str(changed)) == 0
    shard(done, 0).unlink()
    assert merge(tmp_path / "out.json", done, changed) == 2
    assert "say different things about the same images" in capsys.readouterr().err


def test_a_worker_with_other_weights_stops_the_run(
    folder: Path, tmp_path: Path, toy: ToyModel, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_ray(folder, "--shards", str(tmp_path / "run"), "--limit", "2") == 0
    plan = tmp_path / "run" / "plan.json"
    shard(tmp_path / "run", 0).unlink()
    fingerprints = iter(["weights", "others", "others"])
    load = toy._load

    def loaded() -> Any:
        toy.fingerprint = next(fingerprints)
        segmenter = load()
        return _Frozen(segmenter, toy.fingerprint)

    object.__setattr__(toy.spec, "load", loaded)
    assert on_ray(folder, "--shards", str(plan.parent), "--limit", "2", "--resume") == 1
    told = capsys.readouterr().err
    assert "weights: others, not weights" in told
    assert "Install the same program and the same weights" in told


class _Frozen:
    """A segmenter that keeps its fingerprint."""

    def __init__(self, segmenter: Any, fingerprint: str) -> None:
        self._segmenter = segmenter
        self.fingerprint = fingerprint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segmenter, name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{0}", "--workers", "2", "--out", "o.json"], "--workers is for --engine ray"),
        (["s3://bucket/images", "--out", "o.json"], "say --engine ray"),
        (["{0}", "--engine", "ray"], "needs --out FILE, --shards PLACE"),
        (["{0}", "--engine", "ray", "--shards", "s", "--compare"], "one machine"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prelabel", *(text.format(folder) for text in arguments)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_ray_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        on_ray(folder, "--out", "o.json")
    assert "pip install 'annotator[ray]'" in capsys.readouterr().err


def test_one_machine_imports_no_ray(folder: Path) -> None:
    code = (
        "import sys; from annotator.app import main; "
        f"main(['prelabel', {str(folder)!r}, '--model', 'basic', '--side', '2', '--limit', '1']); "
        "assert not {'ray', 'pyarrow', 'fsspec'} & set(sys.modules), 'imported'"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_nothing_to_merge_with_an_unknown_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(tmp_path / "out.json", "nowhere://x") == 1
    assert "nowhere" in capsys.readouterr().err
