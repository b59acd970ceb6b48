"""The words of EXPOSE: ``80``, ``80/udp``, ``8000-8010``, and the old ``[address:][host:]port``."""

from __future__ import annotations

from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import InstructionError

_PROTOCOLS = ("tcp", "udp", "sctp")
_LARGEST = 65535


def parse_port(word: str) -> tuple[str, ...]:
    """The ports, as ``number/protocol``, that one expanded word of EXPOSE names.

    An address and a host port are checked and have no effect, as ever.

    Raises
    ------
    InstructionError
        The word breaks the grammar.
    """
    address, host, container = split_port(word)
    port, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not port:
        raise InstructionError(f"invalid port: {quote(word)}: no port specified", token=word)
    if protocol not in _PROTOCOLS:
        message = f"invalid port: {quote(word)}: invalid proto: {protocol}"
        raise InstructionError(message, hint="tcp, udp or sctp", token=word)
    if address:
        _check_address(address, word)
    ports = _range(port, "containerPort", word)
    if host:
        host_ports = _range(host, "hostPort", word)
        if len(ports) > 1 and len(ports) != len(host_ports):
            raise InstructionError(
                f"invalid ranges specified for container and host Ports: {port} and {host}",
                token=word,
            )
    return tuple(f"{number}/{protocol}" for number in ports)


def split_port(word: str) -> tuple[str, str, str]:
    """The address, the host port and the rest of a word; empty where not given."""
    parts = word.split(":")
    if len(parts) == 1:
        return "", "", parts[0]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _check_address(address: str, word: str) -> None:
    import ipaddress  # costs more than the rest of the package together

    inner = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ipaddress.ip_address(inner)
    except ValueError:
        raise InstructionError(f"invalid IP address: {address}", token=word) from None


def _range(text: str, what: str, word: str) -> range:
    first, dash, last = text.partition("-")
    numbers = [_number(first), _number(last) if dash else _number(first)]
    start, end = numbers
    if start is None or end is None or end < start:
        raise InstructionError(f"invalid {what}: {text}", token=word)
    return range(start, end + 1)


def _number(text: str) -> int | None:
    digits = text.removeprefix("+")
    if not digits or len(digits) > 9 or digits.strip("0123456789"):
        return None
    number = int(digits)
    return number if number <= _LARGEST else None
