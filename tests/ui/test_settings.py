import dataclasses
import os
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings

from annotator.core.errors import UserError
from annotator.services import settings as module
from annotator.services.settings import Settings, SettingsStore

FULL = Settings(
    theme="dark",
    keymap="cvat",
    key_overrides={"tool.box": ("Ctrl+R", "K"), "edit.copy": ()},
    recent_folders=("/data/Übung, 1", "/data/日本語"),
    reopen_last=False,
    crosshair=True,
    turn_alike=True,
    pixel_grid=False,
    hover_preview=False,
    mask_opacity=0.1 + 0.2,
    brush_size=7.5,
    wheel="scroll",
    model="edgesam",
    names="clip-rn50",
    device="exact",
    segmentation="rle",
    coco_versions=3,
    propose_side=24,
    propose_score=0.25,
    propose_stability=0.0,
    propose_overlap=0.5,
    propose_area=9,
    geometry=bytes(range(256)),
    window_state=b"\x00\xff",
    hints_shown=frozenset({"first-click", "tab"}),
)


def store(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path / "a.ini")


def fields() -> dict[str, object]:
    return {spec.name: getattr(FULL, spec.name) for spec in dataclasses.fields(Settings)}


def test_without_a_file_everything_has_its_default(tmp_path, qapp):
    assert store(tmp_path).settings == Settings()


def test_every_field_differs_from_its_default_in_this_test():
    for name, value in fields().items():
        assert value != getattr(Settings(), name), name


def test_everything_survives_a_restart(tmp_path, qapp):
    first = store(tmp_path)
    first.update(**fields())
    first.save()
    assert store(tmp_path).settings == FULL


def test_values_are_frozen_copies(tmp_path, qapp):
    keys = {"tool.box": ("K",)}
    first = store(tmp_path)
    first.update(key_overrides=keys)
    keys["tool.box"] = ("J",)
    assert first.settings.key_overrides == {"tool.box": ("K",)}


def test_changes_are_announced_once_and_only_when_they_are_changes(tmp_path, qtbot):
    first = store(tmp_path)
    heard = []
    first.changed.connect(heard.append)
    first.update(crosshair=True, theme="light")
    first.update(crosshair=True)
    assert heard == [Settings(crosshair=True, theme="light")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "pink"),
        ("mask_opacity", 2.0),
        ("mask_opacity", float("nan")),
        ("brush_size", 0.5),
        ("wheel", ""),
        ("propose_side", 1),
        ("propose_side", 2.5),
        ("propose_score", -2.0),
        ("propose_area", -1),
    ],
)
def test_an_impossible_value_is_refused_and_changes_nothing(tmp_path, qapp, name, value):
    first = store(tmp_path)
    with pytest.raises(ValueError, match=name):
        first.update(crosshair=True, **{name: value})
    assert first.settings == Settings()
    first.save()
    assert store(tmp_path).settings == Settings()


def test_a_field_that_does_not_exist_is_a_bug(tmp_path, qapp):
    with pytest.raises(TypeError):
        store(tmp_path).update(colour="blue")


@pytest.mark.parametrize("name", [spec.name for spec in dataclasses.fields(Settings)])
@pytest.mark.parametrize(
    "junk", ["", "junk, with, commas", "[1, 2", '{"a": 1}', "[[[[", "-1", "@ByteArray(\\x0)", "ä"]
)
def test_one_bad_value_falls_back_alone(tmp_path, qapp, name, junk):
    first = store(tmp_path)
    first.update(**fields())
    first.save()
    file = QSettings(str(first.path), QSettings.Format.IniFormat)
    file.setValue(name, junk)
    file.sync()
    found = store(tmp_path).settings
    for other, value in fields().items():
        if other != name:
            assert getattr(found, other) == value
    assert type(getattr(found, name)) in (type(getattr(FULL, name)), type(Settings().key_overrides))


def test_a_file_that_is_no_ini_file_is_as_good_as_none(tmp_path, qapp):
    path = tmp_path / "a.ini"
    path.write_bytes(os.urandom(4096))
    first = SettingsStore(path)
    assert first.settings == Settings()
    first.update(theme="dark")
    first.save()
    assert SettingsStore(path).settings.theme == "dark"


def test_keys_of_later_versions_stay_in_the_file(tmp_path, qapp):
    path = tmp_path / "a.ini"
    path.write_text("[General]\nfuture=42\n")
    first = SettingsStore(path)
    first.update(theme="dark")
    first.save()
    assert QSettings(str(path), QSettings.Format.IniFormat).value("future") == "42"


def test_recent_folders_are_newest_first_without_repeats(tmp_path, qapp):
    first = store(tmp_path)
    for number in range(20):
        first.remember_folder(Path(f"/data/{number}"))
    first.remember_folder(Path("/data/15"))
    recent = first.settings.recent_folders
    assert len(recent) == module.MAX_RECENT
    assert recent[:3] == ("/data/15", "/data/19", "/data/18")
    first.forget_folders()
    assert first.settings.recent_folders == ()


def test_the_file_lives_where_platformdirs_puts_it(qapp):
    platformdirs = pytest.importorskip("platformdirs")
    assert module.default_path().parent == Path(platformdirs.user_config_dir("annotator"))


def test_a_file_that_cannot_be_written_is_reported_once(tmp_path, qtbot):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    first = SettingsStore(blocked / "a.ini")
    first.update(theme="dark")
    with qtbot.waitSignal(first.reported) as heard:
        first.save()
    assert isinstance(heard.args[0], UserError)
    assert str(blocked) in heard.args[0].message
    with qtbot.assertNotEmitted(first.reported):
        first.save()
    assert first.settings.theme == "dark"
