import pytest

from floorline._version import __version__
from floorline.cli.app import COMMANDS, load_command, main


@pytest.mark.parametrize("command", ["nothing", "dem"])
def test_unknown_commands_are_refused_in_one_line(command, capfd):
    assert main([command]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert command in line
    assert "see 'floorline --help'" in line


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--help"], "replay"),
        (["-h"], "demo"),
        (["replay", "--help"], "--feedback"),
        (["demo", "--help"], "--seeds"),
        (["datasets", "--help"], "list"),
    ],
)
def test_help_is_there(arguments, word, capfd):
    assert main(arguments) == 0
    assert word in capfd.readouterr().out


def test_version(capfd):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"floorline {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name):
    summary = (load_command(name).help or "").split("\n\n")[0]
    assert " ".join(summary.split()) == COMMANDS[name].help
