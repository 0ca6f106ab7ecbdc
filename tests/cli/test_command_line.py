from __future__ import annotations

import argparse
import os
import subprocess
import sys
import types

import pytest

import wq_hooks
from wq_hooks.cli import command_line


def exit_of(argv):
    with pytest.raises(SystemExit) as raised:
        command_line.main(argv)
    return raised.value.code


def test_help_lists_the_subcommands(capsys):
    assert exit_of(["--help"]) == 0
    out = capsys.readouterr().out
    assert "wq-hooks" in out
    for name in command_line._SUBCOMMANDS:
        assert f"    {name} " in out


def test_every_subcommand_has_help(capsys):
    for name in command_line._SUBCOMMANDS:
        assert exit_of([name, "--help"]) == 0
        assert f"usage: wq-hooks {name} " in capsys.readouterr().out


def test_version(capsys):
    assert exit_of(["--version"]) == 0
    assert capsys.readouterr().out == f"wq-hooks {wq_hooks.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["--no-such"]])
def test_wrong_arguments(capsys, argv):
    assert exit_of(argv) == 2
    assert "usage: wq-hooks" in capsys.readouterr().err


def fake(run):
    return types.SimpleNamespace(
        __doc__="Do something.\n\nAt length.",
        add_arguments=lambda parser: parser.add_argument("--n", type=int),
        run=run,
    )


def test_a_subcommand_gets_its_arguments_and_gives_the_exit_code(
    capsys, monkeypatch
):
    subcommand = fake(lambda args: args.n)
    monkeypatch.setitem(command_line._SUBCOMMANDS, "fake", subcommand)
    assert command_line.main(["fake", "--n", "5"]) == 5
    assert exit_of(["--help"]) == 0
    out = capsys.readouterr().out
    assert "Do something." in out
    assert "At length." not in out


def test_a_subcommand_can_refuse_its_arguments(capsys, monkeypatch):
    def run(args):
        raise argparse.ArgumentTypeError(f"Expected n > 5; got {args.n}.")

    monkeypatch.setitem(command_line._SUBCOMMANDS, "fake", fake(run))
    assert exit_of(["fake", "--n", "5"]) == 2
    err = capsys.readouterr().err
    assert "usage: wq-hooks fake" in err
    assert "wq-hooks fake: error: Expected n > 5; got 5." in err


def test_arguments_come_from_the_process_by_default():
    command = [sys.executable, "-m", "wq_hooks.cli.command_line", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"wq-hooks {wq_hooks.__version__}\n"


def test_it_does_without_tensorflow():
    program = (
        "import sys, wq_hooks.cli.command_line\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "argv",
    [
        ["inspect", "/model", "--jsn"],
        ["launch", "--worker", "2", "--", "true"],
        ["inspect", "/model", "--limit", "-1"],
        ["inspect", "/model", "--works", "w.txt", "--num_epochs", "0"],
        ["status", "--target", "grpc://x:1", "--limit", "many"],
        ["status", "--target", "x:1"],
    ],
    ids=lambda argv: " ".join(argv),
)
def test_wrong_arguments_of_a_subcommand(capsys, argv):
    assert exit_of(argv) == 2
    assert f"usage: wq-hooks {argv[0]} " in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["inspect", "--help"], ["fill"]])
def test_a_reader_that_has_had_enough_ends_it_quietly(argv):
    """As in `wq-hooks ... | head -1`."""
    program = (
        "import sys, types\n"
        "from wq_hooks.cli import command_line\n"
        "def run(args):\n"
        "    sys.stdout.write('x' * 1_000_000)\n"
        "    return 1\n"
        "command_line._SUBCOMMANDS['fill'] = types.SimpleNamespace(\n"
        "    add_arguments=lambda parser: None, run=run)\n"
        "sys.exit(command_line.main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wq-hooks sta", "status"),
        ("wq-hooks status --tar", "--target"),
        ("wq-hooks status --format ", "prometheus"),
    ],
)
def test_a_shell_gets_completions(line, expected):
    """As bash asks: in the environment, and for an answer on descriptor 8."""
    code = (
        "import os, sys\n"
        "os.dup2(1, 8)\n"
        "from wq_hooks.cli.command_line import main\n"
        "sys.argv[0] = 'wq-hooks'\n"
        "main()\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_ARGCOMPLETE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "IFS": "\013",
        },
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    ).stdout
    assert expected in printed
