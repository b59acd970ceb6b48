"""Collection beside builds and loads of other processes: nothing that they need goes away."""

from __future__ import annotations

import threading

from fastlayer import Store
from fastlayer.image.catalog import ImageCatalog

from tests.integration.building import Workshop


def test_g4_a_prune_in_the_middle_of_a_build_takes_nothing_of_it(workshop: Workshop) -> None:
    workshop.write({"a": "a" * 50_000, "flag/": ""})
    outcome: list[object] = []
    text = "FROM busybox\nCOPY a /a\nRUN sleep 2\nRUN test -f /a\n"
    builder = threading.Thread(target=lambda: outcome.append(workshop.build(text, tags="site")))
    builder.start()
    command = workshop.command()
    layers = len(workshop.store.layers())
    while len(workshop.store.layers()) == layers:
        assert builder.is_alive()
    command.run("builder", "prune", "-f")
    builder.join()
    assert outcome, "the build failed"
    assert command.text("cat", "site:/a") == "a" * 50_000
    command.run("fsck")


def test_an_image_that_is_removed_while_it_is_built_on(workshop: Workshop) -> None:
    outcome: list[object] = []
    text = "FROM busybox\nRUN sleep 2\n"
    builder = threading.Thread(target=lambda: outcome.append(workshop.build(text, tags="site")))
    builder.start()
    leases = workshop.store.root / "locks" / "leases"
    while not (leases.is_dir() and any(file.read_text() for file in leases.iterdir())):
        assert builder.is_alive()
    command = workshop.command()
    command.run("rmi", "busybox")
    command.run("builder", "prune", "-f")
    builder.join()
    assert outcome, "the build failed"
    command.run("fsck")


def test_a_lease_ends(workshop: Workshop) -> None:
    store = workshop.store
    with store.lease():
        made = store.empty_layer()
        other = Store(store.root)
        assert made.diff_id not in other.collect(list, dry_run=True).layers
    found = Store(store.root).collect(ImageCatalog(store).needed, dry_run=True)
    assert found.layers == [made.diff_id]
    assert store.layer(made.diff_id) is not None
