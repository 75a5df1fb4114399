"""`syncd config init|show|check`: make, show or check the configuration."""

from __future__ import annotations

import json
import os
from typing import Any

import click
from pydantic import BaseModel

from syncd import files
from syncd.cli import exits, say
from syncd.cli.compose import setup
from syncd.config import TEMPLATE, Places, places
from syncd.errors import UsageFault


@click.group()
def command() -> None:
    """Make, show or check the configuration."""


@command.command()
@click.pass_context
def init(ctx: click.Context) -> int:
    """Write a configuration in which every option is explained."""
    path = _places(ctx).config
    if path.exists():
        raise UsageFault(f"{path} is there already, and was not touched", "syncd config show")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.private_file(path)
    with files.Kept(path) as kept:
        files.swap(kept, TEMPLATE.encode(), durable=True)
    say.result(str(path))
    return 0


@command.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> int:
    """Every value in force, and where it comes from."""
    chosen = setup(ctx)
    rows = list(_rows(chosen.config, ""))
    where = {"config": chosen.places.config, "state": chosen.places.state, "runtime": chosen.places.runtime}
    if as_json:
        values = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        say.result(json.dumps({"schemaVersion": 1, "values": values, "places": {k: str(v) for k, v in where.items()}}))
        return 0
    for name, value, origin in rows:
        say.result(say.plain(f"{name} = {json.dumps(value)}  # {origin}"))
    for name, path in where.items():
        say.result(say.plain(f"# {name}: {path}"))
    return 0


@command.command()
@click.pass_context
def check(ctx: click.Context) -> int:
    """Say whether the configuration can be used."""
    chosen = setup(ctx)
    path = chosen.places.config
    say.result(f"{path}: {'fine' if path.exists() else 'not there; every value has its default'}")
    return exits.DONE


def _places(ctx: click.Context) -> Places:
    return places(os.environ, (ctx.find_root().obj or {}).get("config"))


def _rows(section: BaseModel, prefix: str) -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            rows += _rows(value, f"{prefix}{name}.")
        else:
            origin = "file" if name in section.model_fields_set else "default"
            rows.append((prefix + name, section.model_dump(mode="json")[name], origin))
    return rows
