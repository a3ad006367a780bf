"""Which files OMG-Seg and RAP-SAM are put together from, and their network, once for everybody.

Who labels images, answers clicks or follows objects through a sequence shares one network: it has
a gigabyte. Nothing heavy to import.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.api import ModelError
from models.weights import Weight, WeightStore

if TYPE_CHECKING:
    import torch

    from models.networks.omgseg import OmgSeg
    from models.networks.rapsam import RapSam

OMGSEG, RAPSAM = "omgseg", "rapsam-r50"
"""Ids of the networks, in `models.catalog.NEEDS` too."""
TOWER = "clip-convnext-large-d-320"
"""The CLIP whose vectors of names both were trained with; OMG-Seg's backbone."""
TITLES = {OMGSEG: "OMG-Seg", RAPSAM: "RAP-SAM"}

NEEDED = {OMGSEG: 4 << 30, RAPSAM: 2 << 30}
"""Bytes that have to be free on the processor: weights, and what five frames take at once."""

_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class OpenedNetwork:
    """A network that is ready on its device; any thread may use it.

    Attributes:
        id: `OMGSEG` or `RAPSAM`.
        network: in evaluation mode, without gradients.
        device: where it is.
        where: the same, and why not elsewhere; sentences for people.
        fingerprint: changes with the weights.
    """

    id: str
    network: OmgSeg | RapSam
    device: torch.device
    where: str
    fingerprint: str


_OPENED: weakref.WeakValueDictionary[tuple[str, str, str], OpenedNetwork] = (
    weakref.WeakValueDictionary()
)


def missing(network_id: str) -> str | None:
    """None when all files are there, else sentences saying how to get them, and their licences."""
    store = WeightStore()
    absent = [one for one in _files(network_id) if store.local_path(one) is None]
    if not absent:
        return None
    names = " and ".join(f"“{one.file_name}” ({one.licence.name}; {one.origin})" for one in absent)
    loaded = [one.id for one in absent if one.urls]
    ways = f"annotator models get {' '.join(loaded)}, or " if loaded else ""
    return (
        f"{TITLES[network_id]} needs {names}. Get what is missing in Settings, Model, where files "
        f"you have are imported, too; or with: {ways}annotator models import FILE --as "
        f"{absent[0].id}."
    )


def opened(network_id: str) -> OpenedNetwork:
    """The network on the best device that may be used (`models.runtimes.using`).

    Loaded once; it goes when the last one who uses it lets go of it. May take half a minute.

    Raises:
        ModelError: a file is missing, damaged or of another network, or the memory is not enough.
    """
    from models.sam_family.torch_runtime import best_device, device_text

    if reason := missing(network_id):
        raise ModelError(reason)
    device = best_device()
    with _LOCK:
        fingerprint = _fingerprint(network_id)
        key = (network_id, fingerprint, str(device))
        found = _OPENED.get(key)
        if found is None:
            if device.type == "cpu":
                _demand_memory(network_id)
            network = _load(network_id, device)
            found = OpenedNetwork(network_id, network, device, device_text(device), fingerprint)
            _OPENED[key] = found
        return found


def _load(network_id: str, device: torch.device) -> OmgSeg | RapSam:
    from models.omgseg.loading import load_omgseg, load_rapsam

    store = WeightStore()
    paths = {one.id: store.verified_path(one) for one in _files(network_id)}
    network: OmgSeg | RapSam
    if network_id == OMGSEG:
        network = load_omgseg(paths[TOWER], paths[OMGSEG])
    else:
        network = load_rapsam(paths[RAPSAM])
    with spared(TITLES[network_id]):
        return network.to(device)


def _demand_memory(network_id: str) -> None:
    """Refuse before the system ends the program: on Linux nothing else would say so."""
    free, needed = free_memory(), NEEDED[network_id]
    if free is not None and free < needed:
        raise ModelError(
            f"{TITLES[network_id]} needs about {needed / 2**30:.0f} GB of memory, and only "
            f"{free / 2**30:.1f} GB are free. Close other programs, or choose another model."
        )


def free_memory() -> int | None:
    """Bytes that programs can still get, swap space among them; None where nobody says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {name: int(size.split()[0]) for name, _, size in (one.partition(":") for one in lines)}
    if "MemAvailable" not in sizes:
        return None
    return 1024 * (sizes["MemAvailable"] + sizes.get("SwapFree", 0))


@contextmanager
def spared(title: str) -> Iterator[None]:
    """Turns a lack of memory inside into a message for people.

    Raises:
        ModelError: names the remedy.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"The graphics processor has too little memory for {title}. Close other programs that "
            "use it, or choose “the processor” in Settings, Model."
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise ModelError(
            f"There is too little memory for {title}, which needs about 4 GB. Close other "
            "programs, or choose another model."
        ) from error


def _fingerprint(network_id: str) -> str:
    from models.weight_files import file_hash

    store, digest = WeightStore(), hashlib.sha256()
    for weight in _files(network_id):
        digest.update((weight.sha256 or file_hash(store.verified_path(weight))).encode())
    return digest.hexdigest()[:16]


def _files(network_id: str) -> tuple[Weight, ...]:
    from models.catalog import needs

    (group,) = needs(network_id)
    return group
