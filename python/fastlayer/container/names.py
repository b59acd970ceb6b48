"""Names for containers that were given none: an adjective and a scientist, as docker does it."""

from __future__ import annotations

import re
import secrets

from fastlayer.errors import UsageError

# fmt: off
_ADJECTIVES = (
    "able", "agile", "amber", "ample", "apt", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "clear", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early",
    "easy", "fair", "fine", "fleet", "fond", "frank", "fresh", "gentle", "glad", "golden", "good",
    "grand", "happy", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal",
    "lucid", "lucky", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "open",
    "patient", "plain", "polite", "prompt", "proud", "pure", "quick", "quiet", "ready", "rapid",
    "robust", "serene", "sharp", "shiny", "silent", "simple", "sincere", "smart", "snug", "sober",
    "solid", "steady", "stout", "strong", "subtle", "sunny", "swift", "tidy", "tranquil", "true",
    "upbeat", "vivid", "warm", "wise", "witty", "zesty",
)
_SURNAMES = (
    "abel", "agnesi", "ampere", "archimedes", "babbage", "bell", "bernoulli", "bohr", "boole",
    "born", "brahe", "cantor", "carson", "cauchy", "cavendish", "cerf", "church", "clarke",
    "copernicus", "crick", "curie", "dalton", "darwin", "davy", "descartes", "dijkstra", "dirac",
    "edison", "einstein", "elion", "erdos", "euclid", "euler", "faraday", "fermat", "fermi",
    "feynman", "fourier", "franklin", "galileo", "galois", "gauss", "germain", "godel", "goodall",
    "hamilton", "hawking", "heisenberg", "helmholtz", "hertz", "hilbert", "hodgkin", "hooke",
    "hopper", "hubble", "huygens", "hypatia", "joule", "kepler", "knuth", "kovalevskaya",
    "lagrange", "lamarr", "laplace", "leavitt", "leibniz", "liskov", "lovelace", "maxwell",
    "meitner", "mendel", "mendeleev", "mirzakhani", "mitchell", "morse", "napier", "newton",
    "nightingale", "nobel", "noether", "ohm", "pascal", "pasteur", "pauling", "planck", "poincare",
    "ptolemy", "pythagoras", "ramanujan", "ride", "ritchie", "rubin", "rutherford", "sagan",
    "shannon", "somerville", "tesla", "thompson", "torvalds", "turing", "volta", "watt", "wiles",
    "wing", "wright", "wu", "yalow", "zeno",
)
# fmt: on
_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def generate() -> str:
    """A random name such as ``brave_noether``; the caller makes sure that it is free."""
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"


def check(name: str) -> str:
    """The name, without a leading slash, if a container may have it.

    Raises
    ------
    UsageError
        It has characters that docker refuses, or fewer than two.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"invalid container name ({name})",
            hint="two or more of [a-zA-Z0-9_.-], the first one a letter or digit",
        )
    return name.removeprefix("/")
