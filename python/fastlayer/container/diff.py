"""What a container changed in its image's tree."""

from __future__ import annotations

from fastlayer.container.registry import Container
from fastlayer.store import Change, Store


def container_changes(store: Store, container: Container) -> list[Change]:
    """Every path that differs from the image, as ``docker diff`` lists them.

    Parameters
    ----------
    store, container:
        Which one; it may be running.

    Returns
    -------
    Changes sorted by path; what earlier commits of the container took away counts too.
    """
    image_chain = container.config.image_config().diff_ids
    chain = container.chain()
    changes = store.changes(chain, str(container.upper))
    if len(chain) == len(image_chain):
        return changes
    found = {change.path: change for change in store.compare(image_chain, chain)}
    # A path that the upper changes again keeps the kind that it has against the image.
    for change in changes:
        earlier = found.get(change.path)
        if earlier is None or earlier.kind != "A" or change.kind == "D":
            found[change.path] = change
        if earlier is not None and earlier.kind == "A" and change.kind == "D":
            del found[change.path]
    return [found[path] for path in sorted(found)]
