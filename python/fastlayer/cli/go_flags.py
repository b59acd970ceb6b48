"""Switches as Go's flag packages take them: ``--human=false``, ``--rm=true``."""

from __future__ import annotations

import click

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


class GoCommand(click.Command):
    """A command whose switches may have a value behind ``=``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the values away before click sees them; what stands behind ``--`` is left alone."""
        switches = {
            name: parameter
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.is_flag
            for name in parameter.opts
        }
        end = args.index("--") if "--" in args else len(args)
        plain: list[str] = []
        for argument in args[:end]:
            name, equals, value = argument.partition("=")
            switch = switches.get(name) if equals else None
            if switch is None:
                plain.append(argument)
            elif value in _TRUE:
                plain.append(name)
            elif value not in _FALSE:
                raise click.UsageError(f"{name} is true or false, not {value!r}", ctx)
            elif switch.secondary_opts:
                plain.append(switch.secondary_opts[0])
        return super().parse_args(ctx, [*plain, *args[end:]])
