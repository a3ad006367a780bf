"""The composition root of the window: the only file that knows every class."""

from __future__ import annotations

import builtins
import logging
import os
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from annotator import cli, commands

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from annotator.main_window import MainWindow


def main(arguments: list[str] | None = None) -> int:
    """Run Annotator.

    Args:
        arguments: the command line without the program's name; None for the real one.

    Returns:
        The exit code: 0 after a normal end, 1 when the offscreen session or a command failed.

    Raises:
        SystemExit: after --help and --version (0) and for bad arguments (2).
    """
    code = _run(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _leave(code)
    return code


def _leave(code: int) -> None:
    """End the process now if a model still works, which may take minutes.

    Everything accepted is durable by now; and Python's own end is no place for threads that come
    back from native code.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if any(thread.is_alive() for thread in others):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str]) -> int:
    if commands.is_command(arguments):
        return commands.run(arguments)
    options = cli.parse(arguments)
    results = _results_folder(options)
    if results is not None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = make_application()
    window = make_window(application)
    if results is None:
        with ExitStack() as at_end:
            window.painted.connect(lambda: _begin(window, options, at_end))
            window.show()
            return application.exec()
    from PySide6.QtCore import qInstallMessageHandler

    # The offscreen platform complains about every size hint; nobody watches this window.
    qInstallMessageHandler(lambda *_: None)
    window.show()
    fill(window)
    return _play(window, results)


def _begin(window: MainWindow, options: cli.Options, at_end: ExitStack) -> None:
    """What happens as soon as the empty window can be seen."""
    from annotator.bugs import BugHandler

    bugs = BugHandler(window.show_bug)
    bugs.install()
    at_end.callback(bugs.uninstall)
    fill(window)
    window.start(_chosen_path(options), options.project_dir)


def make_application() -> QApplication:
    """The QApplication, with its name and the handling of Ctrl+C."""
    _prepare_imports()
    from PySide6.QtWidgets import QApplication

    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    application.setApplicationName("annotator")
    application.setApplicationDisplayName("Annotator")
    application.setDesktopFileName("annotator")
    # Everything accepted is in the journal already, so the default action loses nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return application


def _prepare_imports() -> None:
    """Import Qt so that what is imported after it starts quickly."""
    # NumPy and OpenCV bring an OpenBLAS each, whose threads spin while they wait: a quarter of
    # the processor time of a start. The products here are too small for more than one thread.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # PySide6 replaces `__import__` in order to look for `from __feature__ import …`, which nothing
    # here uses. It reads, and keeps in memory, the source of every module imported from then on:
    # hundreds for NumPy, thousands for torch.
    plain_import = builtins.__import__
    import PySide6.QtCore  # noqa: F401

    builtins.__import__ = plain_import


def make_window(application: QApplication) -> MainWindow:
    """The empty main window in its theme, not shown yet."""
    from annotator.main_window import MainWindow
    from annotator.services.garbage import GarbageCollector
    from annotator.services.settings import SettingsStore
    from annotator.ui.theme import apply_theme

    settings = SettingsStore()
    theme = apply_theme(application, settings.settings.theme)
    settings.changed.connect(lambda current: theme.apply(current.theme))
    window = MainWindow(settings)
    garbage = GarbageCollector(window)
    garbage.start()
    application.aboutToQuit.connect(garbage.stop)
    return window


def fill(window: MainWindow) -> None:
    """Give the window its services and everything that is in it."""
    from annotator.services.workspace import Workspace

    workspace = Workspace(window.settings)
    # While widgets are built, another core reads the model.
    workspace.assistant.warm_up()
    window.populate(workspace)


def _chosen_path(options: cli.Options) -> Path | None:
    if not options.sample:
        return options.path
    from annotator.samples import sample_folder

    return sample_folder()


def _results_folder(options: cli.Options) -> Path | None:
    if options.play is not None:
        options.play.mkdir(parents=True, exist_ok=True)
        return options.play
    if options.sample and not has_display():
        return Path(tempfile.mkdtemp(prefix="annotator-session-"))
    return None


def has_display() -> bool:
    """Whether a window can be shown to a person."""
    if os.environ.get("QT_QPA_PLATFORM", "") in ("offscreen", "minimal"):
        return False
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _play(window: MainWindow, results: Path) -> int:
    from annotator.core.errors import UserError
    from annotator.samples import sample_folder
    from annotator.session import play

    write = sys.stdout.write
    write("No display: playing a labelling session offscreen.\n")
    try:
        window.start(sample_folder(results), None)
        coco, screenshot = play(window, results)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        window.close()
    write(f"COCO file:  {coco}\nScreenshot: {screenshot}\n")
    return 0
