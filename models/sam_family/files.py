"""From a model's id to its weight files: what is missing, and where the genuine file lies."""

from __future__ import annotations

from pathlib import Path

from models.api import ModelError


def missing(model_id: str) -> str | None:
    """None when the file of a model is there, else a sentence saying how to get it."""
    from models.catalog import needs
    from models.weights import WeightStore

    ((weight,),) = needs(model_id)
    store = WeightStore()
    if store.local_path(weight) or _unpacked(model_id):
        return None
    return (
        f"The file “{weight.file_name}” ({weight.licence.name}) is missing. Get it in Settings, "
        f"Model, or with: annotator models get {weight.id}"
    )


def present(model_id: str) -> tuple[Path, str]:
    """The genuine file of a model, and a fingerprint of its content.

    Raises:
        ModelError: it is missing or another file.
    """
    from models.catalog import needs
    from models.weight_files import file_hash
    from models.weights import WeightStore

    if reason := missing(model_id):
        raise ModelError(reason)
    ((weight,),) = needs(model_id)
    store = WeightStore()
    path = store.verified_path(weight) if store.local_path(weight) else _unpacked(model_id)
    assert path is not None
    verified = weight.sha256 if path.name == weight.file_name else ""
    return path, (verified or file_hash(path))[:16]


def _unpacked(model_id: str) -> Path | None:
    """A file in another form than the published one, which nobody can verify.

    Published archives are accepted unpacked, and published pickles as ONNX or safetensors.
    """
    from models.catalog import needs
    from models.weights import WeightStore

    ((weight,),) = needs(model_id)
    folder, name = WeightStore().folder, Path(weight.file_name)
    if name.suffix == ".zip":
        others = [name.stem]
    elif weight.id.startswith("fastsam"):
        others = [f"{name.stem}{suffix}" for suffix in (".onnx", ".safetensors", ".pth")]
    else:
        others = []
    return next((folder / other for other in others if (folder / other).is_file()), None)
