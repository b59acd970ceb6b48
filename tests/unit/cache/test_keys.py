"""Keys differ exactly where steps do."""

from __future__ import annotations

from fastlayer.cache.keys import KeyParts, chain_name, digest
from hypothesis import given
from hypothesis import strategies as st

BASE = KeyParts("tree", ("RUN", "make"), ("a",), ("env A=1",))


def test_every_part_counts() -> None:
    others = [
        BASE.replace(tree="tree2"),
        BASE.replace(instruction=("RUN", "make", "")),
        BASE.replace(instruction=("RUN make",)),
        BASE.replace(inputs=()),
        BASE.replace(configuration=("env A=2",)),
        BASE.replace(inputs=("a", "env A=1"), configuration=()),
    ]
    keys = {parts.key() for parts in [BASE, *others]}
    assert len(keys) == len(others) + 1


def test_the_key_is_a_format() -> None:
    """A changed key makes every record of every store miss: change ``VERSION`` on purpose only."""
    assert BASE.key() == GOLDEN


def test_fingerprints_tell_the_part_that_differs() -> None:
    ours, theirs = BASE.fingerprints(), BASE.replace(inputs=("b",)).fingerprints()
    assert {part for part in ours if ours[part] != theirs[part]} == {"inputs"}


texts = st.lists(st.text(max_size=3), max_size=3)


@given(st.lists(texts, max_size=3), st.lists(texts, max_size=3))
def test_no_two_inputs_share_their_bytes(left: list[list[str]], right: list[list[str]]) -> None:
    assert (digest(b"d", left) == digest(b"d", right)) == (left == right)


def test_domains_and_surrogates() -> None:
    assert digest(b"a", [["x"]]) != digest(b"b", [["x"]])
    assert digest(b"a", [["\udcff"]]) != digest(b"a", [["\udcfe"]])


def test_a_chain_is_its_order() -> None:
    assert chain_name(["a", "b"]) != chain_name(["b", "a"])
    assert chain_name([]) != chain_name([""])


GOLDEN = "c71b3592fcb7e62995027a9343affae26819ec038c57ca3bfc7ce9b9fec7947d"
