"""Frozen values with slots, as ``dataclasses`` make them, at a tenth of the time to define them.

A build needs six dozen classes. ``dataclass`` generates and compiles five methods for each, which
took 40 ms of every start; the methods here are written once and read the field names from the
class. Type checkers see dataclasses (PEP 681). This module imports nothing of fastlayer.

A subclass of :class:`Value` lists its fields as annotations, defaults beside them (shared by all
values: they are never changed). Arguments are keyword-only unless the class says ``kw_only=False``.
Equality is by type and fields; a value whose fields can be hashed can be hashed. Modules with
values need ``from __future__ import annotations``.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=True)
class ValueType(type):
    """Turns the annotations of a class into slots, and keeps their names and defaults."""

    _fields: tuple[str, ...]
    _defaults: dict[str, Any]
    _positional: tuple[str, ...]
    _compared: tuple[str, ...]

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kw_only: bool = True,
        hidden: tuple[str, ...] = (),
    ) -> ValueType:
        """Make the class; ``kw_only=False`` lets its arguments be given by position.

        Fields that are ``hidden`` count neither for equality nor for the representation.
        """
        fields: tuple[str, ...] = ()
        defaults: dict[str, Any] = {}
        for base in bases:
            if isinstance(base, ValueType):
                fields += base._fields
                defaults |= base._defaults
        own = tuple(
            field
            for field, kind in namespace.get("__annotations__", {}).items()
            if not str(kind).startswith("ClassVar")
        )
        for field in own:
            if field in namespace:
                defaults[field] = namespace.pop(field)
        namespace["__slots__"] = own
        if not kw_only:
            namespace["__match_args__"] = fields + own
        made = super().__new__(mcs, name, bases, namespace)
        made._fields = fields + own
        made._compared = tuple(field for field in made._fields if field not in hidden)
        made._defaults = defaults
        made._positional = made._fields if not kw_only else ()
        return made


class Value(metaclass=ValueType):
    """Base of the frozen values; see the module."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        kind = type(self)
        if arguments:
            if len(arguments) > len(kind._positional):
                raise TypeError(
                    f"{kind.__name__} takes {len(kind._positional)} positional arguments"
                )
            named.update(zip(kind._positional, arguments, strict=False))
        put = object.__setattr__
        for field in kind._fields:
            if field in named:
                put(self, field, named.pop(field))
            elif field in kind._defaults:
                put(self, field, kind._defaults[field])
            else:
                raise TypeError(f"{kind.__name__} needs the argument {field!r}")
        if named:
            raise TypeError(f"{kind.__name__} has no argument {next(iter(named))!r}")

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed.

        Raises
        ------
        TypeError
            There is no field of that name.
        """
        kind = type(self)
        return kind(**({field: getattr(self, field) for field in kind._fields} | changes))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in type(self)._compared)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in type(self)._compared)))

    def __repr__(self) -> str:
        kind = type(self)
        body = ", ".join(f"{field}={getattr(self, field)!r}" for field in kind._compared)
        return f"{kind.__name__}({body})"

    def __reduce__(self) -> tuple[Any, ...]:
        kind = type(self)
        return (_rebuild, (kind, tuple(getattr(self, field) for field in kind._fields)))


def _rebuild(kind: type[Value], values: tuple[Any, ...]) -> Value:
    return kind(**dict(zip(kind._fields, values, strict=True)))


ValueOfSomeKind = TypeVar("ValueOfSomeKind", bound=Value)


def replace(value: ValueOfSomeKind, **changes: Any) -> ValueOfSomeKind:
    """As :meth:`Value.replace`, for use as ``dataclasses.replace`` is."""
    return value.replace(**changes)
