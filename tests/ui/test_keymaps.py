import pytest

from annotator import keymaps
from annotator.keymaps import Conflict, bindings, conflicts
from annotator.menus import COMMANDS, command
from annotator.services.settings import CHOICES


@pytest.mark.parametrize("name", list(keymaps.TITLES))
def test_no_key_map_contradicts_itself(name):
    assert conflicts(bindings(name)) == ()


@pytest.mark.parametrize("name", list(keymaps.TITLES))
def test_a_key_map_lists_only_differences_in_normal_form(name):
    for command_id, keys in keymaps.DIFFERENCES[name].items():
        assert keys != command(command_id).shortcuts
        assert tuple(map(keymaps.normal, keys)) == keys


def test_every_command_keeps_keys_in_every_map():
    for name in keymaps.TITLES:
        keys = bindings(name)
        assert [row.id for row in COMMANDS if row.shortcuts and not keys[row.id]] == []


def test_settings_know_the_key_maps():
    assert CHOICES["keymap"] == tuple(keymaps.TITLES)
    assert set(keymaps.DIFFERENCES) == set(keymaps.TITLES)


@pytest.mark.parametrize(
    ("name", "keys", "command_id"),
    [
        ("standard", "D", "image.next"),
        ("standard", "F", "view.fit"),
        ("labelme", "F", "prompt.accept"),
        ("labelme", "B", "prompt.clear"),
        ("labelme", "Shift+B", "tool.brush"),
        ("labelme", "Ctrl+R", "tool.box"),
        ("labelme", "Ctrl+E", "edit.rename"),
        ("cvat", "F", "image.next"),
        ("cvat", "D", "image.previous"),
        ("cvat", "N", "prompt.accept"),
        ("cvat", "Ctrl+3", "class.3"),
    ],
)
def test_habits_of_the_other_tools(name, keys, command_id):
    assert [row for row, own in bindings(name).items() if keys in own] == [command_id]


def test_conflicts_name_key_and_commands():
    keys = bindings("standard", {"tool.box": ("D",)})
    assert conflicts(keys) == (Conflict("D", ("image.next", "tool.box")),)


def test_a_key_of_the_canvas_is_a_conflict():
    keys = bindings("standard", {"prompt.accept": ("Space",)})
    (found,) = conflicts(keys)
    assert found.keys == "Space"
    assert found.commands == ("prompt.accept",)
    assert found.reserved


def test_commands_that_are_never_enabled_together_may_share_a_key():
    keys = bindings()
    assert "Backspace" in keys["edit.delete"]
    assert "Backspace" in keys["prompt.take_back"]
    assert keymaps.claimants(keys, "edit.delete", "Backspace") == ()
    assert keymaps.claimants(keys, "edit.delete", "Del") == ()
    assert keymaps.claimants(keys, "tool.box", "Backspace") == (
        "edit.delete",
        "prompt.take_back",
        "proposals.reject",
    )
    assert keymaps.claimants(keys, "proposals.accept", "Del") == ("edit.delete", "proposals.reject")


def test_three_claims_on_one_key_name_only_those_that_clash():
    keys = bindings("standard", {"edit.delete": ("Tab",), "edit.copy": ("Tab",)})
    (found,) = conflicts(keys)
    assert found.commands == ("edit.copy", "edit.delete")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ctrl+shift+z", "Ctrl+Shift+Z"),
        ("Shift+Backtab", "Shift+Tab"),
        ("Ctrl++", "Ctrl++"),
        ("nonsense key", ""),
        ("", ""),
    ],
)
def test_normal(written, expected):
    assert keymaps.normal(written) == expected


def test_an_unknown_key_map_is_the_standard_one():
    assert bindings("other program") == bindings()


def test_overrides_of_unknown_commands_are_ignored():
    assert bindings("standard", {"gone.command": ("K",)}) == bindings()


def test_with_keys_forgets_what_is_no_override():
    own = keymaps.with_keys("standard", {}, "tool.box", ("K", "k"))
    assert own == {"tool.box": ("K",)}
    assert keymaps.with_keys("standard", own, "tool.box", ("R",)) == {}


def test_a_command_may_lose_all_keys():
    own = keymaps.with_keys("standard", {}, "tool.box", ())
    assert bindings("standard", own)["tool.box"] == ()


def test_stealing_leaves_no_conflict():
    own = keymaps.stolen("standard", {}, "tool.box", "D")
    keys = bindings("standard", own)
    assert keys["tool.box"] == ("D",)
    assert keys["image.next"] == ("PgDown",)
    assert conflicts(keys) == ()


def test_swapping_exchanges_the_main_keys():
    own = keymaps.swapped("standard", {}, "tool.box", "D")
    keys = bindings("standard", own)
    assert keys["tool.box"] == ("D",)
    assert keys["image.next"] == ("R", "PgDown")
    assert conflicts(keys) == ()


def test_swapping_with_a_command_without_keys_is_stealing():
    own = keymaps.swapped("standard", {}, "view.hover_preview", "D")
    keys = bindings("standard", own)
    assert keys["view.hover_preview"] == ("D",)
    assert keys["image.next"] == ("PgDown",)
