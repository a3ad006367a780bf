"""Embeddings from memory, disk and beforehand, with EdgeSAM (random weights) at 12 megapixels.

    python benchmarks/embedding_cache.py [--rounds 15]

* An image that is known: from "show this" to its preview and to the answer of the first click,
  compared with decoding its reduced JPEG, in turns.
* A click while the next images are encoded in the background, compared with a click in peace, in
  turns; and with a background thread of the same priority, to show what the low one is good for.
* Files: hashing, writing, reading.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from image_change import make_photo, milliseconds
from PySide6.QtCore import QCoreApplication

from annotator.core import images
from annotator.services import look_ahead
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from models import registry
from models.api import Embedding, Point, Segmenter, SegmenterSpec
from models.edgesam import graphs
from models.edgesam.segmenter import EdgeSamSegmenter
from models.embedding_cache import DiskCache, EmbeddingKey, file_content

SPOTS = ((1500.0, 1200.0), (2500.0, 1800.0), (900.0, 2100.0))


class Watched(EdgeSamSegmenter):
    """Says when the background thread encodes."""

    encoding = threading.Event()

    def encode(self, image: np.ndarray) -> Embedding:
        """The real thing."""
        ahead = threading.current_thread().name == "models ahead"
        if ahead:
            self.encoding.set()
        try:
            return super().encode(image)
        finally:
            if ahead:
                self.encoding.clear()


def register(folder: Path) -> None:
    """EdgeSAM with random weights as the model "bench"."""
    import torch

    from models.networks.edgesam import EdgeSam

    torch.manual_seed(0)
    torch.save(EdgeSam().state_dict(), folder / "random.pth")
    made = graphs.from_checkpoint(folder / "random.pth", folder)

    def load() -> Segmenter:
        return Watched(spec, made)

    spec = SegmenterSpec(
        "bench",
        "Bench",
        "1",
        "",
        "",
        load,
        storage="float16",
        stored_arrays=("image",),
        input_size=1024,
    )
    known = MappingProxyType({"bench": spec})
    registry.segmenters = lambda: known  # type: ignore[assignment]


def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until the condition holds."""
    while not condition():
        QCoreApplication.processEvents()
        time.sleep(0.0002)


def ask(workspace: Workspace, spot: tuple[float, float]) -> None:
    """Click and wait for the candidates."""
    workspace.clear_draft()
    workspace.set_draft(workspace.draft.with_point(Point(*spot)))
    until(lambda: bool(workspace.candidates))


def prepared(workspace: Workspace, key: str) -> None:
    """Show an image and wait until it is complete and encoded."""
    workspace.show(key)
    until(lambda: workspace.image is not None and workspace.image.complete)
    ask(workspace, SPOTS[0])
    workspace.clear_draft()


def reopen(workspace: Workspace, keys: list[str], rounds: int) -> None:
    """A known image, with nothing of it in memory."""
    document = workspace.document
    assert document is not None
    times: dict[str, list[float]] = {"decode": [], "visible": [], "clickable": [], "answer": []}
    ready: list[str] = []
    workspace.assistant.prepared.connect(ready.append)
    for number in range(rounds):
        key = keys[number % 2]
        path = document.path(key)
        times["decode"].append(milliseconds(lambda path=path: images.read_reduced(path, 1024)))
        workspace.assistant._answering._embeddings._caches[0].clear()
        workspace._loader.forget(key)
        ready.clear()
        begin = time.perf_counter()
        workspace.show(key)
        until(lambda: workspace.image is not None)
        times["visible"].append((time.perf_counter() - begin) * 1000)
        until(lambda: bool(ready))
        times["clickable"].append((time.perf_counter() - begin) * 1000)
        workspace.set_draft(workspace.draft.with_point(Point(*SPOTS[0])))
        until(lambda: bool(workspace.candidates))
        times["answer"].append((time.perf_counter() - begin) * 1000)
        workspace.clear_draft()
        until(lambda: workspace.image is not None and workspace.image.complete)
    names = {
        "decode": "reduced JPEG decode alone",
        "visible": "known image: visible after",
        "clickable": "known image: visible and clickable after",
        "answer": "known image: first click answered after",
    }
    print("| | median ms | to the decode |\n|---|---|---|")
    base = statistics.median(times["decode"])
    for name, text in names.items():
        middle = statistics.median(times[name])
        print(f"| {text} | {middle:.1f} | {middle - base:+.1f} ms |")


def clicks(workspace: Workspace, folder: Path, rounds: int, title: str) -> None:
    """Clicks in peace and while another image is encoded, in turns."""
    peace: list[float] = []
    busy: list[float] = []
    for number in range(rounds):
        peace += [milliseconds(lambda spot=spot: ask(workspace, spot)) for spot in SPOTS]
        # A new file each time: the end of a JPEG may be followed by anything.
        neighbour = folder / "neighbour.jpg"
        neighbour.write_bytes((folder / "0.jpg").read_bytes() + f"{title} {number}".encode())
        workspace.assistant.look_ahead([neighbour])
        until(Watched.encoding.is_set)
        for spot in SPOTS:
            taken = milliseconds(lambda spot=spot: ask(workspace, spot))
            if Watched.encoding.is_set():
                busy.append(taken)
        until(lambda: not Watched.encoding.is_set())
    calm, worried = statistics.median(peace), statistics.median(busy)
    print(
        f"| {title} | {calm:.1f} | {worried:.1f} | {np.percentile(busy, 90):.1f} "
        f"| x {worried / calm:.2f} ({len(busy)} clicks) |"
    )


def files(folder: Path) -> None:
    """Hashes, and entries of 256 x 64 x 64."""
    pixels = images.read_image(folder / "0.jpg")

    def middle(action: Callable[[], object]) -> float:
        return statistics.median(milliseconds(action) for _ in range(15))

    import hashlib

    size = (folder / "0.jpg").stat().st_size / 1e6
    of_file = middle(lambda: file_content(folder / "0.jpg"))
    of_pixels = middle(lambda: hashlib.blake2b(pixels).digest())
    print(f"\nhash of the file ({size:.1f} MB): {of_file:.1f} ms")
    print(f"hash of the pixels (36 MB): {of_pixels:.1f} ms")
    print("\n| storage | bytes | write ms | read ms |\n|---|---|---|---|")
    array = np.random.default_rng(0).normal(size=(256, 64, 64)).astype(np.float32)
    embedding = Embedding("bench", 4000, 3000, {"image": array})
    disk = DiskCache(folder / "entries")
    for storage in ("exact", "float16", "int8"):
        key = EmbeddingKey("content", "bench", "1", storage=storage)  # type: ignore[arg-type]
        written = disk.put(key, embedding)
        put, get = middle(lambda k=key: disk.put(k, embedding)), middle(lambda k=key: disk.get(k))
        print(f"| {storage} | {written:,} | {put:.1f} | {get:.1f} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        _application = QCoreApplication([])
        register(home)
        folder = home / "images"
        folder.mkdir()
        make_photo(folder / "0.jpg")
        data = (folder / "0.jpg").read_bytes()
        for number in (1, 2, 3):
            (folder / f"{number}.jpg").write_bytes(data + str(number).encode())
        settings = SettingsStore(home / "settings.ini")
        settings.update(model="bench")
        workspace = Workspace(settings)
        workspace.open_folder(folder)
        keys = ["0.jpg", "3.jpg"]
        for key in keys * 2:
            prepared(workspace, key)
        reopen(workspace, keys, 2 * rounds)
        print("\n| background thread | click ms | click meanwhile | p90 | ratio |")
        print("|---|---|---|---|---|")
        prepared(workspace, keys[0])
        clicks(workspace, folder, rounds, "low priority (as it is)")
        workspace.assistant._ahead.close()
        lower, look_ahead.lower_priority = look_ahead.lower_priority, lambda: None
        workspace.assistant._ahead = look_ahead.LookAhead(
            workspace.assistant._answering._embeddings
        )
        clicks(workspace, folder, rounds, "same priority, for comparison")
        look_ahead.lower_priority = lower
        workspace.close()
        files(folder)


if __name__ == "__main__":
    main()
