"""What is wrong with a given stream, said as such: not as a fault of the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fastlayer.errors import CorruptError, StoreFormatError, TarFormatError


@contextlib.contextmanager
def reading(what: str, *, hint: str = "make the archive again") -> Iterator[None]:
    """Name the source in the errors of a block that reads it.

    Parameters
    ----------
    what:
        The source, as the message begins.
    hint:
        What the user can do.

    Raises
    ------
    CorruptError
        For damage of any kind: of the compression, of the tar, of a digest.
    """
    try:
        yield
    except TarFormatError as error:
        raise TarFormatError(
            f"{what}: {error.message}", hint=error.hint, offset=error.offset
        ) from error
    except (CorruptError, StoreFormatError) as error:
        raise CorruptError(f"{what}: {error.message}", hint=hint) from error
