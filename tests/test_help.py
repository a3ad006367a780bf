"""Help pages: each begins with a sentence, and the examples in them can be said."""

import re
import shlex

import pytest

from annotator import cli, commands
from annotator.commands.help_pages import EXAMPLES


def page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        commands.run([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


MODELS = ("list", "get", "check", "import", "remove", "export", "devices", "adapted")
PAGES = [(name,) for name in commands.COMMANDS] + [("models", name) for name in MODELS]


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_page_says_what_the_command_does_and_what_its_arguments_are(capsys, words) -> None:
    text = page(capsys, *words)
    description = re.split(r"\n\n", text)[1]
    assert description[0].isupper()
    assert description.endswith(".")
    if words not in {("models",), ("import",), ("convert",), ("export",), ("check",)}:
        assert all(len(line) <= 100 for line in text.splitlines())
    for line in text.splitlines():
        # An argument or option alone on its line, followed by no explanation.
        assert (
            not re.fullmatch(r"  [A-Za-z-]+( [A-Z]+)?", line)
            or "commands" in text
            or (text.split(line + "\n", 1)[1].startswith("      "))
        ), line


@pytest.mark.parametrize(("name", "lines"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_options_in_examples_exist(capsys, name, lines) -> None:
    text = page(capsys, name)
    for line in lines:
        program, command, *rest = shlex.split(line)
        assert (program, command) == ("annotator", name)
        assert line in text
        for word in rest:
            if word.startswith("-"):
                assert re.search(rf"(?<![\w-]){word}(?![\w-])", text.split("\nexamples:")[0]), word


def test_the_programs_page_lists_all_commands(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["--help"])
    text = capsys.readouterr().out
    for name, about in commands.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", text, re.M)
