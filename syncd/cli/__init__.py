"""The command line: one file a command, loaded when it is called; faults become a sentence, a hint and an exit code."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import click

from syncd import __version__
from syncd.cli import exits, say
from syncd.errors import SyncdError

# In the order of the help: what a newcomer needs first stands first.
COMMANDS = {
    "demo": "Watch it work in a sandbox; nothing of yours is touched.",
    "status": "How every copy of every login stands.",
    "run": "Watch, and keep every copy the newest one.",
    "history": "What happened to the login, newest last.",
    "explain": "All that is known of one store or one token.",
    "enable": "Allow the running syncd to write.",
    "role": "Say what syncd does for a store.",
    "forget": "Delete syncd's own copies of a login.",
    "config": "Make, show or check the configuration.",
}


class _Commands(click.Group):
    """Imports a command's module when it is called, so that `status` does not pay for `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"syncd.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f'there is no command "{args[0]}"', ctx) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="syncd %(version)s")
@click.option("--config", type=click.Path(path_type=Path), help="Use this configuration file.")
@click.option("-v", "--verbose", count=True, help="Say more.")
@click.option("-q", "--quiet", count=True, help="Say less.")
@click.pass_context
def group(ctx: click.Context, config: Path | None, verbose: int, quiet: int) -> None:
    """Keeps one OAuth login alive across every program that holds a copy of it."""
    ctx.obj = {"config": config, "louder": verbose - quiet}


def main(argv: list[str] | None = None) -> None:
    """The entry point."""
    try:
        code = group.main(argv, prog_name="syncd", standalone_mode=False)
        sys.stdout.flush()
    except SyncdError as error:
        say.fail(error)
        code = exits.code_of(error)
    except click.exceptions.NoArgsIsHelpError as error:
        say.talk(error.format_message())
        code = exits.USAGE
    except click.UsageError as error:
        say.fail(_lowered(error.format_message()), f"{error.ctx.command_path if error.ctx else 'syncd'} --help")
        code = exits.USAGE
    except click.ClickException as error:
        say.fail(_lowered(error.format_message()))
        code = exits.USAGE
    except (click.Abort, KeyboardInterrupt):
        code = exits.INTERRUPTED
    except BrokenPipeError:
        # The reader of the result has gone (head, less): the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exits.DONE
    except Exception as error:
        say.fail(
            f"a fault of syncd's own: {type(error).__name__}: {error}",
            "run it again as: syncd -v COMMAND, and report what it says",
        )
        logging.getLogger("syncd").debug("traceback", exc_info=True)
        code = exits.FAULT
    sys.exit(code if isinstance(code, int) else 0)


def _lowered(sentence: str) -> str:
    words = " ".join(sentence.split())
    return (words[:1].lower() + words[1:]).rstrip(".")
