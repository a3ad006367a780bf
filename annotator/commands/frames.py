"""`annotator frames VIDEO FOLDER`: the frames of a video as files, for programs that need files."""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

from annotator.commands.progress import say
from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.paths import frame_key, is_video_name


def run(arguments: list[str]) -> int:
    """Run `annotator frames` with these arguments.

    Returns:
        0 when all frames were written, 1 when some are damaged or nothing can be written.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator frames",
        description="Write the frames of a video as PNG files. Annotator itself does not need "
        "them; other programs find them under the names in the COCO file: FOLDER/clip.mp4/"
        "000123.png. Files that exist are left as they are.",
    )
    parser.add_argument("video", type=Path, metavar="VIDEO", help="the file")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where to; not the folder of the video"
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of a frame (0)")
    parser.add_argument("--last", type=int, metavar="N", help="likewise; the last one by default")
    given = parser.parse_args(arguments)
    if not given.video.is_file() or not is_video_name(given.video.name):
        parser.error(f"“{given.video}” is not a video")
    if given.folder.resolve() == given.video.resolve().parent:
        parser.error("the frames need another folder than that of the video, which has their name")
    try:
        return _write(given.video, given.folder, given.first, given.last)
    except UserError as error:
        say(f"annotator frames: {error}")
        return 1


def _write(video: Path, folder: Path, first: int, last: int | None) -> int:
    import cv2

    from annotator.core import videos

    count = videos.count_frames(video)
    wanted = range(max(first, 0), count if last is None else min(last + 1, count))
    written, failed = 0, 0
    for number in wanted:
        target = folder / frame_key(video.name, number)
        if target.exists():
            continue
        try:
            pixels = videos.read_frame(video, number)
        except UserError as error:
            say(str(error))
            failed += 1
            continue
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
        part = target.with_name(f".{target.name}.writing")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data.tobytes())
            part.replace(target)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTDIR):
                raise UserError(
                    f"“{target.parent}” is not a folder.", "Choose another folder."
                ) from error
            raise explain(error, target) from error
        written += 1
    there = len(wanted) - written - failed
    also = f", {there} were there already" if there else ""
    bad = f", {failed} are damaged" if failed else ""
    sys.stdout.write(f"{written} of {count} frames written{also}{bad}: {folder / video.name}\n")
    return 1 if failed else 0
