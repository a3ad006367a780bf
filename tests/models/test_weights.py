"""Downloads survive bad servers, bad networks and kill -9; users' files survive everything."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.api import ModelError
from models.catalog import NEEDS, WEIGHTS, find_weight, needs
from models.fetch import Patience
from models.naming.towers import TOWERS
from models.registry import segmenters
from models.weight_files import Cancelled, FileLock, Progress, size_text
from models.weights import State, Weight, WeightStore, default_folder, local_path
from tests.models.file_server import Answer, FileServer, body_of, weight_of

QUICK = Patience(stall=0.4, tries=3, pause=0.01, longest_pause=0.02)
BODY = body_of(600_000)
OTHER = body_of(600_000, seed=2)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "models")


def agreed(store: WeightStore, weight: Weight) -> Weight:
    store.agree(weight)
    return weight


def get(store: WeightStore, weight: Weight, **options: object) -> Path:
    return store.download(agreed(store, weight), patience=QUICK, **options)  # type: ignore[arg-type]


def files(store: WeightStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.is_file())


# --- The plain way ---


def test_a_download_is_verified_and_put_in_place(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    assert store.state(weight) is State.MISSING
    assert store.local_path(weight) is None
    steps: list[Progress] = []
    path = get(store, weight, progress=steps.append)
    assert path.read_bytes() == BODY
    assert files(store) == ["tiny.pth"]
    assert store.state(weight) is State.READY
    assert store.local_path(weight) == store.verified_path(weight) == path
    assert steps[-1].done == len(BODY)
    assert all(step.total == len(BODY) for step in steps)


def test_what_is_there_is_not_downloaded_again(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    get(store, weight)
    get(store, weight)
    assert len(server.seen) == 1


def test_nothing_is_asked_for_before_the_licence_is_agreed_to(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    with pytest.raises(ModelError, match="has not been agreed"):
        store.download(weight, patience=QUICK)
    assert server.seen == []
    assert not store.agreed(weight)
    store.agree(weight)
    assert store.agreed(weight)
    assert WeightStore(store.folder).agreed(weight), "it is remembered"


def test_changed_terms_are_asked_about_again(store: WeightStore) -> None:
    before = agreed(store, weight_of(BODY))
    stricter = type(before.licence)("Test Licence", "", True, "Never on Sundays.")
    assert not store.agreed(weight_of(BODY, licence=stricter))
    assert store.agreed(weight_of(OTHER, id="other", file_name="other.pth")), "same origin"
    assert not store.agreed(weight_of(BODY, origin="elsewhere"))


def test_redirects_keep_the_range(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(redirect=f"{server.address}/there")
    server.answers["/there"] = Answer(BODY, send=[200_000])
    get(store, weight_of(BODY, f"{server.address}/tiny"))
    there = [seen for seen in server.seen if seen.path == "/there"]
    assert [seen.headers.get("Range") for seen in there] == [None, "bytes=200000-"]


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/tiny"] = Answer(BODY)
    monkeypatch.setenv("http_proxy", server.address)
    get(store, weight_of(BODY, "http://models.invalid/tiny"))
    assert server.seen[0].path == "http://models.invalid/tiny"


# --- Servers that misbehave ---


def test_a_truncated_download_goes_on_where_it_ended(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[250_000, 100_000])
    path = get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert path.read_bytes() == BODY
    assert server.ranges == [None, "bytes=250000-", "bytes=350000-"]
    assert [seen.headers.get("If-Range") for seen in server.seen] == [None, '"one"', '"one"']
    assert server.sent == len(BODY), "no byte came twice"


def test_a_server_that_refuses_ranges_starts_again(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[250_000], ranges=False)
    path = get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert path.read_bytes() == BODY
    assert server.sent == len(BODY) + 250_000


@pytest.mark.parametrize("status", [416, 501])
def test_an_error_for_ranges_starts_again(
    server: FileServer, store: WeightStore, status: int
) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[250_000], range_status=status)
    assert get(store, weight_of(BODY, f"{server.address}/tiny")).read_bytes() == BODY


def test_a_file_that_changed_on_the_server_starts_again(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(OTHER, send=[250_000, 0], etag='"old"')
    weight = agreed(store, weight_of(BODY, f"{server.address}/tiny"))
    impatient = Patience(stall=0.4, tries=1, pause=0.01)
    with pytest.raises(ModelError, match="connection ended"):
        store.download(weight, patience=impatient)
    server.answers["/tiny"] = Answer(BODY, etag='"new"')
    assert store.partial_bytes(weight) == 250_000
    assert get(store, weight).read_bytes() == BODY
    assert server.seen[-1].headers["If-Range"] == '"old"'
    assert server.seen[-1].sent == len(BODY)


def test_a_stall_is_noticed_and_the_rest_fetched(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[-300_000])
    began = time.monotonic()
    path = get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert path.read_bytes() == BODY
    assert time.monotonic() - began < 3
    assert server.ranges == [None, "bytes=300000-"]


def test_a_dead_server_is_left_for_the_mirror(server: FileServer, store: WeightStore) -> None:
    server.answers["/dead"] = Answer(BODY, send=[-300_000, 0, 0, 0, 0])
    server.answers["/mirror"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/dead", f"{server.address}/mirror")
    assert get(store, weight).read_bytes() == BODY
    last = server.seen[-1]
    assert (last.path, last.headers["Range"]) == ("/mirror", "bytes=300000-")
    assert "If-Range" not in last.headers, "the tag of another address means nothing"


@pytest.mark.parametrize("lie", [100_000, 400_000])
def test_a_length_that_is_too_small_is_not_believed(
    server: FileServer, store: WeightStore, lie: int
) -> None:
    server.answers["/tiny"] = Answer(BODY, lengths=[lie], send=[lie])
    path = get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert path.read_bytes() == BODY
    assert server.ranges == [None, f"bytes={lie}-"]


def test_a_length_that_is_too_large_does_not_hang(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY, lengths=[10**12], send=[-len(BODY)])
    began = time.monotonic()
    path = get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert path.read_bytes() == BODY
    assert time.monotonic() - began < 3
    assert len(server.seen) == 1, "the whole file had come, nothing was asked for again"


def test_a_wrong_file_is_never_offered(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(OTHER)
    weight = weight_of(BODY, f"{server.address}/tiny")
    with pytest.raises(ModelError, match="serves another file"):
        get(store, weight)
    assert len(server.seen) == 1, "asking again would give the same"
    assert files(store) == []
    assert store.local_path(weight) is None


def test_the_mirror_helps_against_a_wrong_file(server: FileServer, store: WeightStore) -> None:
    server.answers["/wrong"] = Answer(OTHER)
    server.answers["/short"] = Answer(BODY[:5000])
    server.answers["/page"] = Answer(b"<html>Log in", kind="text/html; charset=utf-8")
    server.answers["/gone"] = Answer(status=404)
    server.answers["/right"] = Answer(BODY)
    addresses = [f"{server.address}/{name}" for name in ("wrong", "short", "page", "gone", "right")]
    path = get(store, weight_of(BODY, *addresses))
    assert path.read_bytes() == BODY
    assert [seen.path for seen in server.seen].count("/short") == 2
    assert "Range" not in server.seen[-1].headers, "nothing of the wrong files was kept"


def test_all_addresses_fail_with_all_their_reasons(server: FileServer, store: WeightStore) -> None:
    server.answers["/gone"] = Answer(status=404)
    server.answers["/page"] = Answer(b"<html>", kind="text/html")
    server.answers["/short"] = Answer(BODY[:5000])
    addresses = [f"{server.address}/{name}" for name in ("gone", "page", "short")]
    with pytest.raises(ModelError) as caught:
        get(store, weight_of(BODY, *addresses))
    for words in ("404", "web page", "5000 bytes instead of 600000", "import it"):
        assert words in str(caught.value)


def test_a_busy_server_is_asked_again(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY, fail=2)
    get(store, weight_of(BODY, f"{server.address}/tiny"))
    assert len(server.seen) == 3


def test_nobody_listens(store: WeightStore) -> None:
    with pytest.raises(ModelError, match="refuses the connection"):
        get(store, weight_of(BODY, "http://127.0.0.1:9/tiny"))


def test_a_part_spoiled_on_disk_is_fetched_anew(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    store.folder.mkdir()
    (store.folder / "tiny.pth.part").write_bytes(OTHER[:300_000])
    assert get(store, weight).read_bytes() == BODY
    assert server.ranges == ["bytes=300000-", None]


# --- Cancel, kill, two at once ---


def test_a_cancel_is_quick_even_when_the_server_is_silent(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[-200_000])
    weight = agreed(store, weight_of(BODY, f"{server.address}/tiny"))
    stop = threading.Event()

    def watch(step: Progress) -> None:
        if step.done >= 200_000:
            stop.set()

    began = time.monotonic()
    with pytest.raises(Cancelled, match="200 kB are kept"):
        store.download(weight, watch, stop.is_set, patience=Patience(stall=3))
    assert time.monotonic() - began < 2
    assert store.state(weight) is State.PARTIAL
    server.released.set()
    get(store, weight)
    assert server.ranges == [None, "bytes=200000-"]


CHILD = """
import sys
from models.fetch import Patience
from models.weights import WeightStore
from pathlib import Path
from tests.models.file_server import body_of, weight_of

store = WeightStore(Path(sys.argv[1]))
weight = weight_of(body_of({size}), sys.argv[2])
store.agree(weight)
shown = 0
def progress(step):
    global shown
    if step.done > shown:
        shown = step.done
        print(step.phase, step.done, flush=True)
print("path", store.download(weight, progress, patience=Patience(stall=5)), flush=True)
"""


def child(folder: Path, url: str, size: int) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(size=size)
    command = [sys.executable, "-c", code, str(folder), url]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def test_kill_9_loses_nothing_that_had_come(server: FileServer, store: WeightStore) -> None:
    body = body_of(3_000_000)
    server.answers["/tiny"] = Answer(body, pace=0.05)
    weight = weight_of(body, f"{server.address}/tiny")
    process = child(store.folder, weight.urls[0], len(body))
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[1]) > 500_000:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = store.partial_bytes(weight)
    assert 500_000 < kept < len(body)
    assert store.state(weight) is State.PARTIAL
    server.answers["/tiny"] = Answer(body)
    get(store, weight)
    assert store.verified_path(weight).read_bytes() == body
    assert server.seen[-1].sent == len(body) - kept, "only the rest was fetched"


def test_two_processes_share_one_download(server: FileServer, store: WeightStore) -> None:
    body = body_of(1_500_000)
    server.answers["/tiny"] = Answer(body, pace=0.03)
    both = [child(store.folder, f"{server.address}/tiny", len(body)) for _ in range(2)]
    outputs = [process.communicate(timeout=20)[0] for process in both]
    assert all(process.returncode == 0 for process in both)
    assert all(f"path {store.folder / 'tiny.pth'}" in output for output in outputs)
    assert server.sent == len(body), "the second one waited and downloaded nothing"


def test_a_lock_that_is_held_can_be_waited_for_and_given_up(store: WeightStore) -> None:
    weight = agreed(store, weight_of(BODY, "http://127.0.0.1:9/tiny"))
    lock = FileLock(store.folder / ".records" / "tiny.pth.lock")
    assert lock.acquire()
    steps: list[Progress] = []
    with pytest.raises(Cancelled):
        store.download(weight, steps.append, lambda: len(steps) > 1)
    assert {step.phase for step in steps} == {"waiting"}
    with pytest.raises(ModelError, match="being downloaded"):
        store.remove(weight)
    lock.release()


# --- Disks ---


def test_a_full_disk_is_said_before_anything_is_asked_for(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny", bytes=10**15)
    with pytest.raises(ModelError, match=r"needs .* GB on the disk of .* free"):
        get(store, weight)
    assert server.seen == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_fills_up_keeps_what_had_come(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = agreed(store, weight_of(BODY, f"{server.address}/tiny"))
    (store.folder / "tiny.pth.part").symlink_to("/dev/full")
    with pytest.raises(ModelError, match="is full"):
        get(store, weight)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match=r"cannot be accessed.*ANNOTATOR_MODELS"):
        WeightStore(tmp_path / "models").agree(weight_of(BODY))


def test_the_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_home: Path
) -> None:
    monkeypatch.delenv("ANNOTATOR_MODELS", raising=False)
    assert default_folder() == private_home / "XDG_DATA_HOME" / "annotator" / "models"
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    assert default_folder() == tmp_path
    assert local_path(WEIGHTS["edgesam"]) is None


# --- Files of the user ---


def test_import_knows_a_file_by_its_content(store: WeightStore, tmp_path: Path) -> None:
    file = tmp_path / "whatever.bin"
    file.write_bytes(BODY)
    weight = weight_of(BODY)
    assert store.import_file(file, [weight_of(OTHER, id="other"), weight]) is weight
    assert store.verified_path(weight).read_bytes() == BODY
    assert file.read_bytes() == BODY, "a copy, not a move"
    assert files(store) == ["tiny.pth"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OTHER, r"size of Tiny but another content \(SHA-256 [0-9a-f]{64}\)"),
        (BODY[:100], "100 bytes instead of 600,000.*annotator models get tiny"),
    ],
)
def test_import_refuses_what_it_does_not_know_and_leaves_it(
    store: WeightStore, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "tiny.pth"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        store.import_file(file, [weight_of(BODY)])
    assert "Known are: Tiny" in str(caught.value)
    assert file.read_bytes() == content
    assert not store.folder.exists()


@pytest.mark.parametrize("name", ["missing", "."])
def test_import_of_no_file(store: WeightStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"does not exist|is not a file"):
        store.import_file(tmp_path / name, [weight_of(BODY)])


def test_import_of_a_file_that_lies_in_place(store: WeightStore) -> None:
    weight = weight_of(BODY)
    store.folder.mkdir()
    store.path(weight).write_bytes(BODY)
    assert store.state(weight) is State.UNCHECKED
    store.import_file(store.path(weight), [weight])
    assert store.state(weight) is State.READY


def test_import_without_a_known_hash_needs_a_claim(store: WeightStore, tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.write_bytes(BODY)
    nameless = weight_of(BODY, sha256="", bytes=0)
    with pytest.raises(ModelError, match=rf"none of the known files.*With --as ID.*{nameless.id}"):
        store.import_file(file, [nameless])
    named = tmp_path / nameless.file_name
    named.write_bytes(BODY)
    with pytest.raises(ModelError, match=f"import FILE --as {nameless.id}"):
        store.import_file(named, [nameless])
    assert store.import_file(file, [nameless], claimed=nameless) is nameless
    assert store.state(nameless) is State.UNVERIFIABLE
    with pytest.raises(ModelError, match="another content"):
        store.import_file(file, [nameless], claimed=weight_of(OTHER))


def test_a_wrong_file_in_place_is_not_used_not_deleted_not_overwritten(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    store.folder.mkdir()
    store.path(weight).write_bytes(OTHER)
    assert store.state(weight) is State.UNCHECKED
    with pytest.raises(ModelError, match="its content differs"):
        store.verified_path(weight)
    assert store.state(weight) is State.WRONG
    assert store.local_path(weight) is None
    with pytest.raises(ModelError, match="is yours and stays"):
        store.remove(weight)
    steps: list[Progress] = []
    get(store, weight, progress=steps.append)
    assert store.path(weight).read_bytes() == BODY
    assert (store.folder / "tiny.pth.kept-1").read_bytes() == OTHER
    assert "tiny.pth.kept-1" in steps[-1].note


def test_a_file_of_another_size_is_wrong_at_once(store: WeightStore) -> None:
    weight = weight_of(BODY)
    store.folder.mkdir()
    store.path(weight).write_bytes(b"short")
    assert store.state(weight) is State.WRONG
    assert store.check(weight) is State.WRONG
    with pytest.raises(ModelError, match="is yours and stays"):
        store.remove(weight)


def test_decay_on_the_disk_is_found_by_a_check(store: WeightStore, tmp_path: Path) -> None:
    file = tmp_path / "tiny.pth"
    file.write_bytes(BODY)
    weight = store.import_file(file, [weight_of(BODY)])
    status = store.path(weight).stat()
    with store.path(weight).open("r+b") as damaged:
        damaged.seek(1000)
        damaged.write(b"\0\0\0\0")
    os.utime(store.path(weight), ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.state(weight) is State.READY, "nothing but the content tells"
    assert store.check(weight) is State.WRONG
    assert store.state(weight) is State.WRONG


def test_the_hash_is_computed_once_and_again_after_a_change(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = weight_of(BODY)
    store.folder.mkdir()
    store.path(weight).write_bytes(BODY)
    store.verified_path(weight)
    opened: list[Path] = []
    genuine = Path.open

    def counted(path: Path, *args: object, **options: object) -> object:
        opened.append(path)
        return genuine(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", counted)
    store.verified_path(weight)
    assert store.path(weight) not in opened
    os.utime(store.path(weight), ns=(1, 1))
    store.verified_path(weight)
    assert store.path(weight) in opened


def test_remove_frees_the_file_and_the_part(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    get(store, weight)
    (store.folder / "tiny.pth.part").write_bytes(b"12345")
    assert store.remove(weight) == len(BODY) + 5
    assert files(store) == []
    assert store.state(weight) is State.MISSING
    assert store.agreed(weight), "the licence need not be read again"


# --- Files nobody can verify ---


def test_an_unverifiable_file_needs_consent(server: FileServer, store: WeightStore) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[250_000])
    weight = weight_of(BODY, f"{server.address}/tiny", sha256="", bytes=0)
    with pytest.raises(ModelError, match="cannot be verified"):
        get(store, weight)
    assert server.seen == []
    get(store, weight, accept_unverified=True)
    assert store.path(weight).read_bytes() == BODY
    assert store.state(weight) is State.UNVERIFIABLE
    assert server.ranges == [None, "bytes=250000-"]


def test_an_unverifiable_file_is_never_put_together_from_two_addresses(
    server: FileServer, store: WeightStore
) -> None:
    server.answers["/one"] = Answer(OTHER, send=[250_000, 0, 0, 0])
    server.answers["/two"] = Answer(BODY)
    urls = f"{server.address}/one", f"{server.address}/two"
    get(store, weight_of(BODY, *urls, sha256="", bytes=0), accept_unverified=True)
    assert store.path(weight_of(BODY)).read_bytes() == BODY
    assert "Range" not in server.seen[-1].headers


def test_a_weight_without_addresses_says_where_it_comes_from(store: WeightStore) -> None:
    with pytest.raises(ModelError, match="Get it from here and import it"):
        get(store, weight_of(BODY))


# --- The catalogue ---


def test_every_entry_of_the_catalogue_is_complete() -> None:
    for name, weight in WEIGHTS.items():
        assert weight.id == name
        assert re.fullmatch(r"[a-z0-9-]+", weight.id)
        assert re.fullmatch(r"[0-9a-f]{64}|", weight.sha256)
        assert weight.sha256 or not weight.bytes
        assert weight.urls or "by the link in" in weight.origin
        assert all(url.startswith("https://") for url in weight.urls)
        assert weight.licence.url.startswith("https://")
        assert weight.licence.text
        assert weight.good_for.endswith(".")
    names = [weight.file_name for weight in WEIGHTS.values()]
    assert len(set(names)) == len(names)
    hashes = [weight.sha256 for weight in WEIGHTS.values() if weight.sha256]
    assert len(set(hashes)) == len(hashes)


def test_non_commercial_licences_say_so() -> None:
    marked = {weight.id for weight in WEIGHTS.values() if weight.licence.non_commercial}
    assert marked == {name for name in WEIGHTS if name.startswith(("edgesam", "ovsam"))}


def test_what_models_need_is_in_the_catalogue() -> None:
    needed = {name for groups in NEEDS.values() for group in groups for name in group}
    assert needed | {tower.weight for tower in TOWERS} == set(WEIGHTS)
    assert [weight.id for weight in needs("edgesam")[0]] == ["edgesam"]
    assert needs("basic") == ()
    assert "basic" in segmenters()


def test_names_and_files_are_found() -> None:
    assert find_weight("edgesam") is find_weight("edge_sam.pth")
    with pytest.raises(ModelError, match="Known files: edgesam-3x"):
        find_weight("sam9")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (38_807_540, "38.8 MB"),
        (536_408_050, "536 MB"),
        (2_564_550_879, "2.6 GB"),
        (999_999_999, "1.0 GB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size_text(count) == text
