"""Which checks run: ``skip=A,B;error=true;experimental=all``, from a directive or a build argument.

The same words in a comment right above an instruction (``# check=skip=A``) switch checks off there.
"""

from __future__ import annotations

import re
from contextlib import suppress

from fastlayer.dockerfile.lint.rules import Finding
from fastlayer.dockerfile.quantities import parse_truth
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import BLANKS, fail
from fastlayer.value import Value

_COMMENT = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)


class CheckOptions(Value):
    """Which checks run, and whether a finding fails the build (``error``)."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def wants(self, finding: Finding) -> bool:
        """Whether the finding is to be told."""
        options = self
        for comment in finding.comments:
            match = _COMMENT.match(comment)
            if match is None:
                continue
            with suppress(ValueError):  # what only looks like options is a comment
                options = self._merged(_parse(match[1]))
            break
        name = finding.rule.name
        if finding.rule.experimental:
            return options.experimental_all or name in options.experimental
        return not options.skip_all and name not in options.skip

    def _merged(self, other: CheckOptions) -> CheckOptions:
        return self.replace(
            skip=self.skip | other.skip,
            skip_all=self.skip_all or other.skip_all,
            experimental=self.experimental | other.experimental,
            experimental_all=self.experimental_all or other.experimental_all,
        )


def parse_check_options(text: str, *, file: str | None = None) -> CheckOptions:
    """Read the options of ``# check=`` or of ``BUILDKIT_DOCKERFILE_CHECK``.

    Raises
    ------
    DockerfileError
        An option is unknown, or has no fitting value.
    """
    try:
        return _parse(text)
    except ValueError as error:
        fail(
            f"failed to parse check options: {error}",
            hint="as in skip=RuleName,OtherRule;error=true",
            file=file,
        )


def _parse(text: str) -> CheckOptions:
    options = CheckOptions()
    text = text.strip(BLANKS)
    for part in text.split(";") if text else ():
        key, equals, value = part.partition("=")
        key, value = key.strip(BLANKS), value.strip(BLANKS)
        if not equals:
            raise ValueError(f"invalid check option {quote(part)}")
        if key == "error":
            options = options.replace(error=parse_truth(value))
        elif key in ("skip", "experimental"):
            if value == "all":
                options = options.replace(**{f"{key}_all": True})
            else:
                names = frozenset(name.strip(BLANKS) for name in value.split(","))
                options = options.replace(**{key: names})
        else:
            raise ValueError(f"invalid check option {quote(key)}")
    return options
