"""Weight files of models: what they are, where they lie, whether they are genuine, how to get them.

Nothing is downloaded before its licence was agreed to; nothing is offered to a model that is not
the file the catalogue names; and no file that a person put there is ever deleted or overwritten.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from models.api import ModelError
from models.weight_files import (
    FileLock,
    Flag,
    Progress,
    Steps,
    copying,
    disk_error,
    finish,
    hashing,
    never,
    put_in_place,
    read_record,
    size_text,
    write_record,
)

if TYPE_CHECKING:
    from models.fetch import Patience

ENVIRONMENT = "ANNOTATOR_MODELS"
SPARE_ROOM = 16 * 2**20
"""Bytes a download leaves free on the disk."""


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of a file.

    Attributes:
        name: SPDX identifier or common name.
        url: the full text.
        non_commercial: commercial use needs a separate permission.
        text: the terms in a few sentences, shown before the first download.
    """

    name: str
    url: str
    non_commercial: bool
    text: str


@dataclass(frozen=True, slots=True)
class Weight:
    """One file of trained weights.

    Attributes:
        id: what the command line calls it.
        title: what people read.
        file_name: its name in the folder of models, and at its origin.
        urls: where it can be downloaded: the origin, then mirrors of the same bytes.
        bytes: its size; 0 when unknown.
        sha256: lower-case hexadecimal; "" when unknown: then it cannot be verified.
        licence: its terms.
        origin: who publishes it.
        good_for: one sentence.
    """

    id: str
    title: str
    file_name: str
    urls: tuple[str, ...]
    bytes: int
    sha256: str
    licence: Licence
    origin: str
    good_for: str

    @property
    def verifiable(self) -> bool:
        """Whether a copy can be told from a forgery."""
        return bool(self.sha256)


class State(Enum):
    """What is known about a weight file on this computer."""

    MISSING = "missing"
    PARTIAL = "partial"
    """A download was interrupted and can go on."""
    UNCHECKED = "unchecked"
    """Present with the right size; nobody has computed its hash yet."""
    READY = "ready"
    """Present and genuine."""
    UNVERIFIABLE = "unverifiable"
    """Present; the catalogue knows no hash to compare with."""
    WRONG = "wrong"
    """A file of this name is there, but it is not the one the catalogue names."""


def default_folder() -> Path:
    """Where this user's models lie: $ANNOTATOR_MODELS, else the user's data folder."""
    chosen = os.environ.get(ENVIRONMENT, "")
    if chosen:
        return Path(chosen).expanduser()
    # Imported late: it takes 20 ms, and this module is imported with the registry.
    from platformdirs import user_data_dir

    return Path(user_data_dir("annotator")) / "models"


def local_path(weight: Weight) -> Path | None:
    """Where the file lies, or None; see `WeightStore.local_path`."""
    return WeightStore().local_path(weight)


def verified_path(weight: Weight) -> Path:
    """Where the genuine file lies; see `WeightStore.verified_path`."""
    return WeightStore().verified_path(weight)


@dataclass(frozen=True, slots=True)
class WeightStore:
    """The folder of weight files. Any number of processes may use it at once.

    Methods that take long come twice: as steps (generators, for a queue) and in one go.

    Args:
        folder: it is made when the first file arrives.
    """

    folder: Path = field(default_factory=default_folder)

    # --- What is there ---

    def path(self, weight: Weight) -> Path:
        """Where the file belongs, whether it is there or not."""
        return self.folder / weight.file_name

    def state(self, weight: Weight) -> State:
        """What is known without reading the file; takes no time."""
        status = _status(self.path(weight))
        if status is None:
            return State.PARTIAL if self.partial_bytes(weight) else State.MISSING
        if weight.bytes and status.st_size != weight.bytes:
            return State.WRONG
        if not weight.sha256:
            return State.UNVERIFIABLE
        known = self._remembered(weight, status)
        if known is None:
            return State.UNCHECKED
        return State.READY if known == weight.sha256 else State.WRONG

    def partial_bytes(self, weight: Weight) -> int:
        """How much of an interrupted download is kept."""
        status = _status(self._part(weight))
        return status.st_size if status else 0

    def local_path(self, weight: Weight) -> Path | None:
        """The file if it is there, has the right size, and is not known to be wrong.

        Takes no time; use `verified_path` before the content is trusted.
        """
        present = (State.UNCHECKED, State.READY, State.UNVERIFIABLE)
        return self.path(weight) if self.state(weight) in present else None

    def verified_path(self, weight: Weight) -> Path:
        """The file, genuine. Its hash is computed once and remembered until the file changes.

        Raises:
            ModelError: missing, unreadable, or another file.
        """
        state = finish(self.checking(weight, again=False))
        if state in (State.READY, State.UNVERIFIABLE):
            return self.path(weight)
        if state is State.WRONG:
            raise ModelError(
                f"“{self.path(weight)}” is not “{weight.title}”: its content differs. "
                "Move it away and download or import the file again."
            )
        raise ModelError(
            f"“{weight.title}” is not on this computer. Get it in Settings, Model, or with: "
            f"annotator models get {weight.id}"
        )

    def checking(
        self, weight: Weight, stopped: Flag = never, *, again: bool = True
    ) -> Steps[State]:
        """Find out whether the file is genuine.

        Args:
            weight: which file.
            stopped: asked often.
            again: compute the hash even if it is remembered (a disk may decay silently).

        Raises:
            ModelError: the file cannot be read.
            Cancelled: stopped.
        """
        path = self.path(weight)
        status = _status(path)
        state = self.state(weight)
        settled = state in (State.MISSING, State.PARTIAL) or (
            not again and state is not State.UNCHECKED
        )
        if status is None or settled:
            return state
        if weight.bytes and status.st_size != weight.bytes:
            return State.WRONG
        try:
            digest = yield from hashing(path, stopped)
        except OSError as error:
            raise disk_error(error, path) from error
        self._remember(weight, status, digest)
        return self.state(weight)

    def check(self, weight: Weight) -> State:
        """`checking` in one go."""
        return finish(self.checking(weight))

    # --- Licences ---

    def agreed(self, weight: Weight) -> bool:
        """Whether the user agreed to the present terms of this file's origin."""
        record = read_record(self._records / "licences.json").get(_terms(weight))
        return isinstance(record, dict) and record.get("text") == _fingerprint(weight.licence)

    def agree(self, weight: Weight) -> None:
        """Record that the user agrees; it holds for all files of the same origin and licence.

        Raises:
            ModelError: the folder cannot be written.
        """
        path = self._records / "licences.json"
        entry = {
            "text": _fingerprint(weight.licence),
            "url": weight.licence.url,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            write_record(path, {**read_record(path), _terms(weight): entry})
        except OSError as error:
            raise disk_error(error, path) from error

    # --- Getting a file ---

    def downloading(
        self,
        weight: Weight,
        stopped: Flag = never,
        *,
        accept_unverified: bool = False,
        patience: Patience | None = None,
    ) -> Steps[Path]:
        """Download, or go on with a download. A second process waits for the first and is done.

        Args:
            weight: which file.
            stopped: asked often; True cancels and keeps what was received.
            accept_unverified: the user knows that this file has no known hash.
            patience: with bad networks.

        Raises:
            ModelError: not agreed, not verifiable, no address works, no room, not writable.
            Cancelled: stopped.
        """
        self._demand_consent(weight, accept_unverified)
        lock = self._lock(weight)
        yield from lock.waiting(weight.bytes, stopped)
        try:
            found = yield from self.checking(weight, stopped, again=False)
            if found is State.READY or (found is State.UNVERIFIABLE and not weight.sha256):
                return self.path(weight)
            self._demand_room(weight)
            digest = yield from self._fetching(weight, stopped, patience)
            note = self._settle(weight, self._part(weight), digest)
        finally:
            lock.release()
        size = self.path(weight).stat().st_size
        yield Progress("verifying", size, size, note=note)
        return self.path(weight)

    def download(
        self,
        weight: Weight,
        progress: Callable[[Progress], None] | None = None,
        stopped: Flag = never,
        *,
        accept_unverified: bool = False,
        patience: Patience | None = None,
    ) -> Path:
        """`downloading` in one go."""
        steps = self.downloading(
            weight, stopped, accept_unverified=accept_unverified, patience=patience
        )
        return finish(steps, progress)

    def importing(
        self,
        file: Path,
        known: Iterable[Weight],
        stopped: Flag = never,
        *,
        claimed: Weight | None = None,
    ) -> Steps[Weight]:
        """Copy a local file into the folder; its content says which weight it is, not its name.

        Args:
            file: stays where and as it is, whatever happens.
            known: the catalogue.
            stopped: asked often.
            claimed: take the file as this weight; only for one whose hash nobody knows.

        Raises:
            ModelError: not a readable file, or none of the known ones.
            Cancelled: stopped.
        """
        candidates = tuple(known)
        if claimed is not None and claimed.sha256:
            candidates = (claimed,)
        try:
            status = file.stat()
            if not file.is_file():
                raise ModelError(f"“{file}” is not a file.")
            digest = ""
            if claimed is None or claimed.sha256:
                if not any(_may_be(weight, file, status.st_size) for weight in candidates):
                    raise _unknown(file, status.st_size, "", candidates)
                digest = yield from hashing(file, stopped)
            weight = _recognised(file, status.st_size, digest, candidates, claimed)
            yield from self._take_in(file, weight, digest, stopped)
        except FileNotFoundError:
            raise ModelError(f"“{file}” does not exist.") from None
        except OSError as error:
            raise disk_error(error, Path(error.filename or file)) from error
        return weight

    def import_file(
        self,
        file: Path,
        known: Iterable[Weight],
        progress: Callable[[Progress], None] | None = None,
        *,
        claimed: Weight | None = None,
    ) -> Weight:
        """`importing` in one go."""
        return finish(self.importing(file, known, claimed=claimed), progress)

    def remove(self, weight: Weight) -> int:
        """Delete the file and what is left of an interrupted download.

        Returns:
            How many bytes were freed.

        Raises:
            ModelError: the file is not the one the catalogue names, so it belongs to the user; or
                it is in use; or it cannot be deleted.
        """
        lock = self._lock(weight)
        if not lock.acquire():
            raise ModelError(f"“{weight.title}” is being downloaded. Stop that first.")
        try:
            if finish(self.checking(weight, again=False)) is State.WRONG:
                raise ModelError(
                    f"“{self.path(weight)}” is not “{weight.title}”, so it is yours and stays. "
                    "Delete it yourself if you do not need it."
                )
            return self._delete(weight)
        except OSError as error:
            raise disk_error(error, self.path(weight)) from error
        finally:
            lock.release()

    # --- Steps of these ---

    def _demand_consent(self, weight: Weight, accept_unverified: bool) -> None:
        if not weight.urls:
            raise ModelError(
                f"“{weight.title}” cannot be downloaded by this program. "
                f"Get it from {weight.origin} and import it."
            )
        if not self.agreed(weight):
            raise ModelError(
                f"The licence of “{weight.title}” ({weight.licence.name}) has not been agreed to."
            )
        if not weight.sha256 and not accept_unverified:
            raise ModelError(
                f"“{weight.title}” cannot be verified: its publisher states no hash. "
                "Download it only if you trust the address, and say so explicitly."
            )

    def _demand_room(self, weight: Weight) -> None:
        needed = weight.bytes - self.partial_bytes(weight) + SPARE_ROOM
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ModelError(
                f"“{weight.title}” needs {size_text(needed)} on the disk of “{self.folder}”, but "
                f"only {size_text(free)} are free. Free some space, or choose another folder with "
                f"the environment variable {ENVIRONMENT}."
            )

    def _fetching(self, weight: Weight, stopped: Flag, patience: Patience | None) -> Steps[str]:
        # Imported late: models import this module at start-up, and urllib takes 40 ms.
        from models.fetch import Fetch, Patience, Source

        source = Source(weight.title, weight.urls, weight.bytes, weight.sha256)
        memo = self._records / f"{weight.file_name}.part.json"
        return Fetch(source, self._part(weight), memo, patience or Patience(), stopped).steps()

    def _take_in(self, file: Path, weight: Weight, digest: str, stopped: Flag) -> Steps[None]:
        target = self.path(weight)
        if target.exists() and target.samefile(file):
            if digest:
                self._remember(weight, target.stat(), digest)
            return
        lock = self._lock(weight)
        yield from lock.waiting(weight.bytes, stopped)
        try:
            temporary = self._records / f"{weight.file_name}.import"
            copied = yield from copying(file, temporary, stopped)
            if digest and copied != digest:
                temporary.unlink()
                raise ModelError(f"“{file}” changed while it was being copied. Try again.")
            self._settle(weight, temporary, copied)
        finally:
            lock.release()

    def _settle(self, weight: Weight, ready: Path, digest: str) -> str:
        """Give a verified file its name; what was there under this name is kept."""
        target, note = self.path(weight), ""
        try:
            if _status(target) is not None and self._digest(weight) != digest:
                aside = _free_name(target)
                target.rename(aside)
                note = f"The file that was there is kept as “{aside.name}”."
            put_in_place(ready, target)
            (self._records / f"{weight.file_name}.part.json").unlink(missing_ok=True)
            self._remember(weight, target.stat(), digest)
        except OSError as error:
            raise disk_error(error, target) from error
        return note

    def _delete(self, weight: Weight) -> int:
        freed = 0
        for path in (self.path(weight), self._part(weight)):
            if (status := _status(path)) is not None:
                path.unlink()
                freed += status.st_size
        for suffix in (".json", ".part.json"):
            (self._records / f"{weight.file_name}{suffix}").unlink(missing_ok=True)
        return freed

    @property
    def _records(self) -> Path:
        return self.folder / ".records"

    def _part(self, weight: Weight) -> Path:
        return self.folder / f"{weight.file_name}.part"

    def _lock(self, weight: Weight) -> FileLock:
        try:
            self._records.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, self.folder) from error
        return FileLock(self._records / f"{weight.file_name}.lock")

    def _digest(self, weight: Weight) -> str:
        """The SHA-256 of the file that is there, computed if need be."""
        path = self.path(weight)
        return self._remembered(weight, path.stat()) or finish(hashing(path))

    def _remembered(self, weight: Weight, status: os.stat_result) -> str | None:
        record = read_record(self._records / f"{weight.file_name}.json")
        digest = record.get("sha256")
        same = record.get("file") == _identity(status)
        return digest if same and isinstance(digest, str) else None

    def _remember(self, weight: Weight, status: os.stat_result, digest: str) -> None:
        record = {"file": _identity(status), "sha256": digest}
        try:
            write_record(self._records / f"{weight.file_name}.json", record)
        except OSError:
            # A folder that is shared and read-only: the hash is computed anew the next time.
            return


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _terms(weight: Weight) -> str:
    return f"{weight.licence.name}, {weight.origin}"


def _fingerprint(licence: Licence) -> str:
    return hashlib.sha256(f"{licence.name}\n{licence.text}".encode()).hexdigest()


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.kept-{number}")).exists():
        number += 1
    return aside


def _may_be(weight: Weight, file: Path, size: int) -> bool:
    """Whether it is worth computing a hash of the file."""
    fits = weight.bytes == size if weight.bytes else file.suffix == Path(weight.file_name).suffix
    return bool(weight.sha256) and fits


def _recognised(
    file: Path, size: int, digest: str, known: tuple[Weight, ...], claimed: Weight | None
) -> Weight:
    if claimed is not None and not claimed.sha256:
        if claimed.bytes and claimed.bytes != size:
            raise ModelError(
                f"“{file}” has {size:,} bytes, but “{claimed.title}” has {claimed.bytes:,}."
            )
        return claimed
    found = next((weight for weight in known if weight.sha256 and weight.sha256 == digest), None)
    if found is None:
        raise _unknown(file, size, digest, known)
    return found


def _unknown(file: Path, size: int, digest: str, known: tuple[Weight, ...]) -> ModelError:
    """Say what is wrong with a file, as precisely as can be known."""
    of_size = [weight.title for weight in known if weight.sha256 and weight.bytes == size]
    of_name = [weight for weight in known if weight.file_name == file.name]
    if of_size:
        why = f"it has the size of {' or '.join(of_size)} but another content (SHA-256 {digest})"
    elif of_name and of_name[0].bytes:
        why = (
            f"it has {size:,} bytes instead of {of_name[0].bytes:,}. Other programs (X-AnyLabeling "
            "is one) publish other files under the same names; get the original in Settings, "
            f"Model, or with: annotator models get {of_name[0].id}"
        )
    elif of_name and not of_name[0].sha256:
        return ModelError(
            f"“{file}” may be “{of_name[0].title}”, but nobody published what that is recognised "
            f"by. If you trust it: annotator models import FILE --as {of_name[0].id}"
        )
    else:
        why = f"no known file has {size:,} bytes"
    titles = ", ".join(weight.title for weight in known if weight.sha256)
    others = ", ".join(weight.id for weight in known if not weight.sha256)
    claims = f" With --as ID, and only so: {others}." if others else ""
    return ModelError(
        f"“{file}” is none of the known files: {why}. It was left as it is. "
        f"Known are: {titles}.{claims}"
    )
