"""The build checks by name: what each is about, and which need asking for."""

from __future__ import annotations

from fastlayer.dockerfile.source import Span
from fastlayer.value import Value

_DOCUMENTATION = "https://docs.docker.com/go/dockerfile/rule/"


class Rule(Value, kw_only=False):
    """One check.

    ``page`` is the last part of its documentation's address, empty where there is none; an
    ``experimental`` check runs only when asked for.
    """

    name: str
    description: str
    page: str = ""
    experimental: bool = False

    @property
    def url(self) -> str:
        """The address of the documentation, or an empty string."""
        return f"{_DOCUMENTATION}{self.page}/" if self.page else ""


class Finding(Value, kw_only=False):
    """One violation of a rule, at a place; ``message`` is specific to it."""

    rule: Rule
    span: Span
    message: str
    #: The comments above the instruction, which may switch the rule off there.
    comments: tuple[str, ...] = ()


STAGE_NAME_CASING = Rule("StageNameCasing", "Stage names should be lowercase", "stage-name-casing")
FROM_AS_CASING = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "from-as-casing",
)
NO_EMPTY_CONTINUATION = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "no-empty-continuation",
)
CONSISTENT_INSTRUCTION_CASING = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "consistent-instruction-casing",
)
DUPLICATE_STAGE_NAME = Rule(
    "DuplicateStageName", "Stage names should be unique", "duplicate-stage-name"
)
RESERVED_STAGE_NAME = Rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "reserved-stage-name",
)
JSON_ARGS_RECOMMENDED = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
    "OS signals",
    "json-args-recommended",
)
MAINTAINER_DEPRECATED = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "maintainer-deprecated",
)
UNDEFINED_ARG_IN_FROM = Rule(
    "UndefinedArgInFrom", "FROM command must use declared ARGs", "undefined-arg-in-from"
)
WORKDIR_RELATIVE_PATH = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected "
    "results if the base image changes",
    "workdir-relative-path",
)
UNDEFINED_VAR = Rule(
    "UndefinedVar", "Variables should be defined before their use", "undefined-var"
)
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "multiple-instructions-disallowed",
)
LEGACY_KEY_VALUE_FORMAT = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "legacy-key-value-format",
)
INVALID_BASE_IMAGE_PLATFORM = Rule(
    "InvalidBaseImagePlatform", "Base image platform does not match expected target platform"
)
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
    "behavior",
    "redundant-target-platform",
)
SECRETS_USED_IN_ARG_OR_ENV = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "secrets-used-in-arg-or-env",
)
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "invalid-default-arg-in-from",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "from-platform-flag-const-disallowed",
)
COPY_IGNORED_FILE = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "copy-ignored-file",
)
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: "
    "`# <arg/stage name> <description>`. If this is not intended to be a description comment, "
    "add an empty line or comment between the instruction and the comment.",
    "invalid-definition-description",
    experimental=True,
)
EXPOSE_PROTO_CASING = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
)
EXPOSE_INVALID_FORMAT = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
    "an error in a future release",
    "expose-invalid-format",
)

#: All of them by name.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        STAGE_NAME_CASING,
        FROM_AS_CASING,
        NO_EMPTY_CONTINUATION,
        CONSISTENT_INSTRUCTION_CASING,
        DUPLICATE_STAGE_NAME,
        RESERVED_STAGE_NAME,
        JSON_ARGS_RECOMMENDED,
        MAINTAINER_DEPRECATED,
        UNDEFINED_ARG_IN_FROM,
        WORKDIR_RELATIVE_PATH,
        UNDEFINED_VAR,
        MULTIPLE_INSTRUCTIONS_DISALLOWED,
        LEGACY_KEY_VALUE_FORMAT,
        INVALID_BASE_IMAGE_PLATFORM,
        REDUNDANT_TARGET_PLATFORM,
        SECRETS_USED_IN_ARG_OR_ENV,
        INVALID_DEFAULT_ARG_IN_FROM,
        FROM_PLATFORM_FLAG_CONST_DISALLOWED,
        COPY_IGNORED_FILE,
        INVALID_DEFINITION_DESCRIPTION,
        EXPOSE_PROTO_CASING,
        EXPOSE_INVALID_FORMAT,
    )
}
