"""The same objects again, through the window."""

from __future__ import annotations

from pathlib import Path

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.services.document import Document
from tests.e2e.test_prelabelling import asks, chooses, reports
from tests.e2e.user import Start, User
from tests.models.moving import Disk, disk_mask, scene, write

DISK = Disk(80, 80, 32, 20, 10, seed=1)


def test_an_accepted_object_is_proposed_in_the_next_images(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    for time in range(3):
        write(folder / f"{time}.png", scene((DISK,), time))
    document = Document.open(folder)
    document.add_images(["0.png", "1.png", "2.png"])
    mask = raster.from_array(disk_mask(DISK, 0))
    number = document.add_category("coin").id
    document.edit("0.png", (Annotation(document.new_id(), mask, number),), "Mark")
    document.close()

    def script(user: User) -> None:
        user.waits_for_image("0.png")
        heard = reports(user)
        dialog = asks(user)
        chooses(dialog, "condition", "untouched")
        chooses(dialog, "source", "again")
        assert dialog.start_button.isEnabled()
        dialog.start_button.click()
        user.waits_for(lambda: bool(heard))
        assert (heard[0].made, heard[0].stopped) == (2, False)
        document = user.workspace.document
        assert document is not None
        for key in ("1.png", "2.png"):
            (found,) = document.annotations(key)
            assert found.proposed
            assert found.category_id == number
            assert found.origin.resembles == document.annotations("0.png")[0].id

    assert start([str(folder)], script) == 0
