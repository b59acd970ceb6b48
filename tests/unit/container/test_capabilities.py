from __future__ import annotations

import pytest
from fastlayer.container import capabilities
from fastlayer.errors import UsageError


def test_dockers_default_set_has_fourteen() -> None:
    assert len(capabilities.DEFAULT) == 14


@pytest.mark.parametrize(
    ("add", "drop", "added", "dropped"),
    [
        (["NET_ADMIN"], [], {"CAP_NET_ADMIN"}, set()),
        (["cap_net_admin"], ["chown"], {"CAP_NET_ADMIN"}, {"CAP_CHOWN"}),
        ([], ["CHOWN", "KILL"], set(), {"CAP_CHOWN", "CAP_KILL"}),
        (["CHOWN"], ["CHOWN"], set(), {"CAP_CHOWN"}),
    ],
)
def test_adjust(add: list[str], drop: list[str], added: set[str], dropped: set[str]) -> None:
    result = set(capabilities.adjust(add, drop))
    assert result == (set(capabilities.DEFAULT) | added) - dropped


def test_all_stands_for_every_one() -> None:
    assert capabilities.adjust(["ALL"], []) == capabilities.ALL
    assert capabilities.adjust(["KILL"], ["all"]) == ("CAP_KILL",)
    assert "CAP_SYS_ADMIN" not in capabilities.adjust(["all"], ["SYS_ADMIN"])


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown capability: FLY"):
        capabilities.adjust(["FLY"], [])


def test_only_what_the_process_may_hand_on_is_asked_for() -> None:
    assert capabilities.within(capabilities.ALL, (1 << 38) - 1)[-1] == "CAP_AUDIT_READ"
    assert capabilities.within(("CAP_KILL", "CAP_CHOWN"), 0b1) == ("CAP_CHOWN",)
