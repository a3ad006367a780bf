"""Embeddings in memory and on disk: nothing damaged is ever read, nothing grows without bound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import embedding_cache
from models.api import Embedding, SegmenterSpec, Storage
from models.embedding_cache import (
    DamagedEntryError,
    DiskCache,
    EmbeddingKey,
    MemoryCache,
    default_folder,
    file_content,
    pack,
    unpack,
)

KEY = EmbeddingKey("12-ab", "test", "1", "weights")
ROOT = Path(__file__).parents[2]


def embedding_of(seed: int = 0, shape: tuple[int, ...] = (16, 8, 8)) -> Embedding:
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.01, 10, (shape[0], *(1 for _ in shape[1:])))
    image = (rng.normal(size=shape) * scales).astype(np.float32)
    return Embedding("test", 40, 30, {"image": image, "steps": np.arange(5)})


def same(one: Embedding | None, other: Embedding) -> bool:
    return (
        one is not None
        and (one.model, one.width, one.height) == (other.model, other.width, other.height)
        and one.arrays.keys() == other.arrays.keys()
        and all(
            np.array_equal(one.arrays[name], array) and one.arrays[name].dtype == array.dtype
            for name, array in other.arrays.items()
        )
    )


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "embeddings")


# --- Keys ---


def test_every_field_makes_another_key() -> None:
    others = [
        replace(KEY, content="12-ac"),
        replace(KEY, model="other"),
        replace(KEY, version="2"),
        replace(KEY, fingerprint="other weights"),
        replace(KEY, storage="int8"),
        replace(KEY, part="0,0,64,64"),
    ]
    assert len({key.name for key in [KEY, *others]}) == 1 + len(others)


def test_fields_do_not_run_together() -> None:
    assert replace(KEY, model="a", version="bc").name != replace(KEY, model="ab", version="c").name


def test_the_key_of_a_segmenter() -> None:
    class Tiny:
        spec = SegmenterSpec("tiny", "Tiny", "3", "", "", load=lambda: None, storage="int8")  # type: ignore[arg-type,return-value]
        fingerprint = "abc"

    assert EmbeddingKey.of(Tiny(), "c", "p") == EmbeddingKey(  # type: ignore[arg-type]
        "c", "tiny", "3", "abc", "int8", "p"
    )


def test_the_content_of_a_file_is_its_bytes(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"x" * 3_000_000)
    three.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_content(one) == file_content(two) != file_content(three)
    assert file_content(one).startswith("3000000-")


def test_the_default_folder_is_in_the_cache_of_the_user(private_home: Path) -> None:
    assert default_folder().is_relative_to(private_home)


# --- Entries ---


@pytest.mark.parametrize("storage", ["exact", "float16", "int8"])
@pytest.mark.parametrize("shape", [(3,), (4, 5), (16, 8, 8), (1, 4, 6, 5), (0, 3, 3), ()])
def test_an_entry_comes_back(storage: Storage, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    image = np.asarray(rng.normal(size=shape), np.float32)
    embedding = Embedding("test", 7, 9, {"image": image, "flags": np.array([True, False])})
    key = replace(KEY, storage=storage)
    found = unpack(pack(embedding, key), key)
    assert (found.width, found.height) == (7, 9)
    assert found.arrays["image"].shape == shape
    assert found.arrays["image"].dtype == np.float32
    assert not found.arrays["image"].flags.writeable
    error = {"exact": 0.0, "float16": 2**-11 * 4, "int8": 4 / 254}[storage]
    np.testing.assert_allclose(found.arrays["image"], image, rtol=0, atol=error)
    np.testing.assert_array_equal(found.arrays["flags"], [True, False])


def test_int8_keeps_every_channel_to_its_own_scale() -> None:
    image = np.stack([np.full((8, 8), 1e-3), np.full((8, 8), 1e3), np.zeros((8, 8))])
    image[:, 0, 0] *= -1
    key = replace(KEY, storage="int8")
    data = pack(Embedding("test", 8, 8, {"image": image.astype(np.float32)}), key)
    np.testing.assert_allclose(unpack(data, key).arrays["image"], image, rtol=1e-6)


def test_int8_is_a_quarter_of_the_size() -> None:
    embedding = embedding_of(shape=(64, 64, 64))
    exact, small = (len(pack(embedding, replace(KEY, storage=s))) for s in ("exact", "int8"))  # type: ignore[arg-type]
    assert small < 0.26 * exact


def test_float16_never_turns_numbers_into_infinity() -> None:
    image = np.array([[1e6, 1.0]], np.float32)
    key = replace(KEY, storage="float16")
    found = unpack(pack(Embedding("test", 1, 1, {"image": image}), key), key)
    np.testing.assert_array_equal(found.arrays["image"], image)


def test_only_the_named_arrays_are_kept() -> None:
    found = unpack(pack(embedding_of(), KEY, ("image",)), KEY)
    assert list(found.arrays) == ["image"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_kept(value: float, disk: DiskCache) -> None:
    embedding = Embedding("test", 1, 1, {"image": np.array([1.0, value], np.float32)})
    with pytest.raises(ValueError, match="not numbers"):
        pack(embedding, KEY)
    assert disk.put(KEY, embedding) == 0
    assert disk.get(KEY) is None


def test_objects_are_not_kept() -> None:
    with pytest.raises(ValueError, match="object"):
        pack(Embedding("test", 1, 1, {"image": np.array([object()])}), KEY)


ENTRY = pack(embedding_of(), KEY)


@settings(deadline=None, max_examples=200)
@given(at=st.integers(0, len(ENTRY) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(at: int, bit: int) -> None:
    data = bytearray(ENTRY)
    data[at] ^= 1 << bit
    with pytest.raises(DamagedEntryError):
        unpack(bytes(data), KEY)


@settings(deadline=None, max_examples=100)
@given(length=st.integers(0, len(ENTRY) - 1))
def test_any_missing_end_is_noticed(length: int) -> None:
    with pytest.raises(DamagedEntryError):
        unpack(ENTRY[:length], KEY)
    blank = ENTRY[:length] + bytes(len(ENTRY) - length)
    if blank != ENTRY:
        with pytest.raises(DamagedEntryError):
            unpack(blank, KEY)


def test_the_entry_of_another_key_is_not_taken() -> None:
    with pytest.raises(DamagedEntryError, match="another entry"):
        unpack(ENTRY, replace(KEY, version="2"))


# --- Memory ---


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    memory = MemoryCache(3 * embedding_of().nbytes)
    for number in range(3):
        memory.put(number, embedding_of(number))
    assert memory.get(0) is not None
    memory.put(3, embedding_of(3))
    assert [number for number in range(4) if memory.get(number) is not None] == [0, 2, 3]
    assert memory.nbytes == 3 * embedding_of().nbytes


def test_the_newest_stays_however_large() -> None:
    memory = MemoryCache(10)
    memory.put("a", embedding_of())
    memory.put("b", embedding_of())
    assert memory.get("a") is None
    assert memory.get("b") is not None


def test_replacing_does_not_count_twice() -> None:
    memory = MemoryCache()
    memory.put("a", embedding_of())
    memory.put("a", embedding_of(1))
    assert memory.nbytes == embedding_of().nbytes
    memory.clear()
    assert memory.nbytes == 0
    assert memory.get("a") is None


def test_memory_serves_many_threads() -> None:
    memory, nbytes = MemoryCache(5 * embedding_of().nbytes), embedding_of().nbytes

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 12, 400):
            if memory.get(int(number)) is None:
                memory.put(int(number), embedding_of())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.nbytes == 5 * nbytes
    assert sum(memory.get(number) is not None for number in range(12)) == 5


# --- Disk ---


def test_the_disk_gives_back_what_was_put(disk: DiskCache) -> None:
    assert disk.get(KEY) is None
    assert disk.contains(KEY) == 0
    size = disk.put(KEY, embedding_of())
    assert size == disk.path(KEY).stat().st_size == disk.contains(KEY) == disk.nbytes()
    assert same(disk.get(KEY), embedding_of())
    assert same(DiskCache(disk.folder).get(KEY), embedding_of())
    assert disk.get(replace(KEY, version="2")) is None


def test_entries_lie_in_folders_of_folders(disk: DiskCache) -> None:
    disk.put(KEY, embedding_of())
    (file,) = (path for path in disk.folder.rglob("*") if path.is_file())
    assert file.relative_to(disk.folder).parts[:2] == (KEY.name[0], KEY.name[1])


@pytest.mark.parametrize("damage", ["cut", "zeros", "flip", "empty", "text"])
def test_a_damaged_entry_is_deleted_and_made_again(disk: DiskCache, damage: str) -> None:
    disk.put(KEY, embedding_of())
    path = disk.path(KEY)
    data = path.read_bytes()
    damaged = {
        "cut": data[: len(data) // 2],
        "zeros": data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
        "flip": data[:-70] + bytes([data[-70] ^ 1]) + data[-69:],
        "empty": b"",
        "text": b"hello",
    }[damage]
    path.write_bytes(damaged)
    if len(damaged) != len(data):
        assert disk.contains(KEY) == 0
    assert disk.get(KEY) is None
    assert not path.exists()
    disk.put(KEY, embedding_of())
    assert same(disk.get(KEY), embedding_of())


def age(disk: DiskCache, key: EmbeddingKey, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(disk.path(key), (moment, moment))


def keys_of(count: int) -> list[EmbeddingKey]:
    return [replace(KEY, content=str(number)) for number in range(count)]


@pytest.mark.parametrize("used", ["get", "contains"])
def test_the_least_recently_used_entries_go_first(tmp_path: Path, used: str) -> None:
    size, keys = len(ENTRY), keys_of(11)
    disk = DiskCache(tmp_path, 10 * size + 1000)
    for number, key in enumerate(keys[:10]):
        disk.put(key, embedding_of())
        age(disk, key, 5000 - number)
    getattr(disk, used)(keys[0])
    disk.put(keys[10], embedding_of())
    left = [number for number, key in enumerate(keys) if disk.path(key).exists()]
    assert 0 in left
    assert 10 in left
    assert 1 not in left
    assert disk.nbytes() == len(left) * size <= 10 * size


def test_the_bound_holds_for_what_other_processes_wrote(tmp_path: Path) -> None:
    size, keys = len(ENTRY), keys_of(40)
    for number, key in enumerate(keys):  # each is a process of its own
        DiskCache(tmp_path, 10 * size + 1000).put(key, embedding_of(number))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 1 <= len(files) <= 10


def test_a_nearly_full_disk_is_left_alone(disk: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = embedding_cache.shutil.disk_usage(Path("/"))
    little = usage._replace(free=embedding_cache.FREE_BYTES - 1)
    monkeypatch.setattr(embedding_cache.shutil, "disk_usage", lambda _: little)
    assert disk.put(KEY, embedding_of()) == 0
    assert disk.get(KEY) is None


def test_a_folder_that_cannot_be_made_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    disk = DiskCache(tmp_path / "file" / "embeddings")
    assert disk.put(KEY, embedding_of()) == 0
    assert disk.get(KEY) is None
    assert disk.contains(KEY) == 0
    assert disk.nbytes() == 0


def test_what_a_killed_process_left_is_removed_when_it_is_old(disk: DiskCache) -> None:
    disk.put(KEY, embedding_of())
    old, new = (disk.path(KEY).with_name(f"{n}.1-2.writing") for n in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert DiskCache(disk.folder).nbytes() == len(ENTRY)
    assert not old.exists()
    assert new.exists()


WRITER = """
import sys
from pathlib import Path
from models.embedding_cache import DiskCache
from tests.models.test_embedding_cache import embedding_of, keys_of
disk = DiskCache(Path(sys.argv[1]), 4 << 20)
keys = keys_of(6)
embeddings = [embedding_of(n, (64, 32, 32)) for n in range(6)]
print("writing", flush=True)
while True:
    for key, embedding in zip(keys, embeddings):
        disk.put(key, embedding)
"""


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "embeddings")]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    yield running
    for process in running:
        process.kill()
        process.communicate()


def test_killed_writers_and_readers_beside_them(
    writers: list[subprocess.Popen[str]], disk: DiskCache
) -> None:
    keys = keys_of(6)
    expected = [embedding_of(number, (64, 32, 32)) for number in range(6)]
    for process in writers:
        assert process.stdout is not None
        process.stdout.readline()
    seen = 0
    deadline = time.monotonic() + 30
    rng = np.random.default_rng(0)
    for process in writers:
        until = time.monotonic() + rng.uniform(0.2, 0.4)
        while time.monotonic() < until or not seen:
            assert time.monotonic() < deadline
            number = int(rng.integers(6))
            try:
                data = disk.path(keys[number]).read_bytes()
            except FileNotFoundError:
                continue
            # Not `disk.get`: it would throw away what is half-written.
            assert same(unpack(data, keys[number]), expected[number])
            seen += 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    for number, key in enumerate(keys):
        if disk.path(key).exists():  # then it is complete: nothing had to be thrown away
            assert same(unpack(disk.path(key).read_bytes(), key), expected[number])
        disk.put(key, expected[number])
        assert same(disk.get(key), expected[number])
