"""RUN: a process over the tree so far; what it changes is the layer.

What it can see is in the key: words, environment, user, directory, network, platform, and the
content of what is mounted. What it cannot depend on (proxies, cache mounts, secret values) is not.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastlayer.builder.graph import Place, PlannedMount, RunStep, Script
from fastlayer.builder.history import timestamp
from fastlayer.builder.state import StageState, clean_path
from fastlayer.builder.steps.config_step import with_shell
from fastlayer.builder.transfer import Begin
from fastlayer.builder.workplace import Performed, Prepared, Workplace
from fastlayer.cache.keys import KeyParts
from fastlayer.dockerfile import (
    BindMount,
    CacheMount,
    CommandLine,
    Heredoc,
    Mount,
    Run,
    SecretMount,
    SshMount,
)
from fastlayer.errors import ContainerError, DockerfileError, FastlayerError, RunFailedError
from fastlayer.image.failed_steps import FailedSteps
from fastlayer.oci import created_by
from fastlayer.oci.config import RuntimeConfig, empty_config
from fastlayer.oci.platform import Platform, host_platform
from fastlayer.store import LayerInfo, Store
from fastlayer.value import replace

if TYPE_CHECKING:
    from fastlayer.container.step import StepResult

SCRIPT_DIRECTORY = "/dev/pipes"
"""Where a heredoc that is a script is mounted."""

AGENT_PATH = "/run/buildkit/ssh_agent"
"""Where the sockets of SSH agents are mounted, with a number at the end."""

LONGEST_SHOWN = 160
"""Characters of an instruction that an error shows."""

_OPENER = re.compile(r"\d*<<-?\s*([^<\s]+)\s*")

Output = Callable[[int, bytes], None]


def plan(instruction: Run, written: str, state: StageState, place: Place) -> None:
    """Plan a RUN.

    Parameters
    ----------
    instruction:
        The instruction, expanded.
    written:
        Its text as it stands in the Dockerfile.
    state:
        The stage.
    place:
        Where the instruction stands.

    Raises
    ------
    DockerfileError
        It asks for what is not supported.
    """
    if instruction.security == "insecure" and "security.insecure" not in state.allowed:
        raise DockerfileError(
            "RUN --security=insecure is not allowed in this build",
            file=place.file,
            line=place.line,
            hint="allow it with --allow security.insecure",
        )
    _require_host(state.platform, place)
    command, script, shown = _command(instruction)
    arguments = with_shell(command, state.shell)
    if not arguments:
        raise DockerfileError("RUN needs a command", file=place.file, line=place.line)
    environment = state.variables()
    network = instruction.network
    declared = state.scope.arguments
    state.steps.append(
        RunStep(
            place=place,
            instruction=written,
            name=written + shown,
            created_by=created_by.run(arguments, state.scope.shown(state.runtime.environment())),
            arguments=arguments,
            environment=tuple(environment.items()),
            hidden_environment=state.globals.proxies(declared),
            working_directory=state.working_directory,
            user=state.runtime.user,
            network=state.default_network if network == "default" else network,
            platform=state.platform,
            mounts=_mounts(instruction.mounts, state, place),
            script=script,
            insecure=instruction.security == "insecure",
        )
    )


def prepare(
    step: RunStep,
    chain: tuple[str, ...],
    tree: str,
    workplace: Workplace,
    output: Output,
    begin: Begin,
) -> Prepared:
    """Key the step on a chain whose tree id is ``tree``.

    ``output`` gets what it writes, ``begin`` tells of bytes that are moved.
    """
    inputs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    specifications: tuple[str, ...] = ()
    if step.mounts:
        from fastlayer.builder.steps.run_mounts import mount_parts

        inputs, names, specifications = mount_parts(step.mounts, workplace)
    instruction: tuple[str, ...] = ("RUN", *step.arguments)
    if step.script is not None:
        inputs = (*inputs, step.script.content.decode("utf-8", "surrogateescape"))
        names = (*names, "the script")
    network = "host" if step.network == "default" else step.network
    configuration = (
        *(f"env {name}={value}" for name, value in sorted(step.environment)),
        f"user {step.user}",
        f"directory {step.working_directory}",
        f"network {network}",
        f"platform {step.platform}",
        *(("security insecure",) if step.insecure else ()),
        *specifications,
        *workplace.run_settings.key_parts(),
    )
    parts = KeyParts(tree, instruction, inputs, configuration, names)

    def perform() -> Performed:
        return Performed(_perform(step, chain, workplace, output, begin), parts)

    return Prepared(parts, perform)


def failure(step: RunStep, code: int, reason: str | None = None) -> RunFailedError:
    """The error for a process that ended with a code other than 0, or could not start."""
    first = step.instruction.split("\n", 1)[0]
    shown = first if len(first) <= LONGEST_SHOWN else first[:LONGEST_SHOWN] + "…"
    what = reason if reason is not None else f"exit code {code}"
    return RunFailedError(
        f"{step.place}: {shown}: {what}", exit_code=code, file=step.place.file, line=step.place.line
    )


def _perform(
    step: RunStep, chain: tuple[str, ...], workplace: Workplace, output: Output, begin: Begin
) -> LayerInfo:
    from fastlayer.builder.steps.run_mounts import MountSet
    from fastlayer.container.mounts import DEFAULT_SHM_SIZE
    from fastlayer.container.step import DEFAULT_HOSTNAME, StepSpec

    runner, settings = workplace.runner(), workplace.run_settings
    workplace.look_for_limits(chain, step.place)
    with MountSet(step, chain, workplace) as mounts:
        environment = dict(step.hidden_environment) | dict(step.environment) | mounts.environment
        specification = StepSpec(
            args=step.arguments,
            env=tuple(f"{name}={value}" for name, value in environment.items()),
            cwd=step.working_directory,
            user=step.user,
            network=step.network,
            hostname=settings.hostname or DEFAULT_HOSTNAME,
            mounts=mounts.mounts,
            extra_hosts=settings.extra_hosts,
            shm_size=DEFAULT_SHM_SIZE if settings.shm_size is None else settings.shm_size,
            ulimits=settings.ulimits,
            privileged=step.insecure,
        )
        try:
            result = runner.run(chain, specification, output)
        except ContainerError as error:
            raise failure(step, error.exit_code, str(error)) from error
    try:
        if result.exit_code != 0:
            failed = failure(step, result.exit_code)
            failed.failed_id = _keep_failed(step, chain, result, workplace.store)
            if failed.failed_id:
                failed.hint = f"to look at what it left: fastlayer run -it {failed.failed_id} sh"
            raise failed
        with begin("storing what changed") as moved:
            return result.diff(moved)
    finally:
        runner.discard(result)


def _keep_failed(step: RunStep, chain: tuple[str, ...], result: StepResult, store: Store) -> str:
    """Keep what a failed process left, with its environment; gives an id, empty where it cannot."""
    shell = step.arguments[0] if step.arguments[0].startswith("/") else "/bin/sh"
    section = RuntimeConfig(
        user=step.user,
        env=tuple(f"{name}={value}" for name, value in step.environment),
        cmd=(shell if step.script is None else "/bin/sh",),
        working_dir=step.working_directory,
    )
    try:
        layer = result.diff()
        config = replace(
            empty_config(step.platform),
            config=section,
            created=timestamp(time.time()),
            diff_ids=(*chain, layer.diff_id),
        )
        return FailedSteps(store).keep(config)
    except (FastlayerError, OSError):
        return ""  # the failure itself is what counts


def _command(instruction: Run) -> tuple[CommandLine, Script | None, str]:
    """The command with its heredocs worked in, a script to mount, and what to show of it."""
    command, heredocs = instruction.command, instruction.heredocs
    if not heredocs:
        return command, None, ""
    sole = _OPENER.fullmatch(command.text)
    if sole is None or len(heredocs) != 1:
        # The shell itself reads the heredocs: give it back the text as it was written.
        text = command.text + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in heredocs)
        return CommandLine(words=(text,), shell=command.shell), None, ""
    heredoc = heredocs[0]
    shown = f" ({_summary(heredoc.text)})"
    if heredoc.content.startswith("#!"):
        return _script(heredoc, command, shown)
    return CommandLine(words=(heredoc.text,), shell=command.shell), None, shown


def _script(heredoc: Heredoc, command: CommandLine, shown: str) -> tuple[CommandLine, Script, str]:
    script = Script(heredoc.name, heredoc.text.encode("utf-8", "surrogateescape"))
    path = f"{SCRIPT_DIRECTORY}/{heredoc.name}"
    return CommandLine(words=(path,), shell=command.shell), script, shown


def _summary(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[0] + ("..." if len(lines) > 1 else "")


def _mounts(mounts: Sequence[Mount], state: StageState, place: Place) -> tuple[PlannedMount, ...]:
    planned = []
    agents = 0
    for mount in mounts:
        if isinstance(mount, SshMount):
            planned.append(_agent(mount, agents, state, place))
            agents += 1
        else:
            planned.append(_mount(mount, state, place))
    return tuple(planned)


def _agent(mount: SshMount, number: int, state: StageState, place: Place) -> PlannedMount:
    if mount.required and mount.id not in state.agents:
        raise DockerfileError(
            f"the SSH agent {mount.id} is required and was not given",
            file=place.file,
            line=place.line,
            hint=f"give it with --ssh {mount.id}",
        )
    target = mount.target or f"{AGENT_PATH}.{number}"
    if not target.startswith("/"):
        target = f"{state.working_directory}/{target}"
    return PlannedMount(mount, clean_path(target), None)


def _mount(mount: Mount, state: StageState, place: Place) -> PlannedMount:
    target = clean_path(f"{state.working_directory}/{mount.target}") if mount.target else ""
    if mount.target.startswith("/"):
        target = clean_path(mount.target)
    if target == "/":
        raise DockerfileError(
            "RUN --mount: the target cannot be /", file=place.file, line=place.line
        )
    if isinstance(mount, SecretMount):
        if mount.required and mount.id not in state.secrets:
            raise DockerfileError(
                f"the secret {mount.id} is required and was not given",
                file=place.file,
                line=place.line,
                hint=f"give it with --secret id={mount.id},src=FILE or ,env=NAME",
            )
        return PlannedMount(mount, target, None)
    if isinstance(mount, CacheMount) and not (mount.from_ or mount.source):
        return PlannedMount(mount, target, None)
    if not isinstance(mount, BindMount | CacheMount):
        return PlannedMount(mount, target, None)
    return PlannedMount(mount, target, state.find_origin(mount.from_, place, "RUN --mount from"))


def _require_host(platform: Platform, place: Place) -> None:
    host = host_platform()
    if not platform.satisfies(host):
        raise DockerfileError(
            f"RUN for {platform} cannot run on this machine ({host})",
            file=place.file,
            line=place.line,
            hint=f"build with --platform {host}, or without RUN",
        )
