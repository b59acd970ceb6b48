"""The documents of an image: descriptors, manifests, indexes, configs, references.

Frozen values and pure functions. A document that was read keeps the bytes it came in, so that its
digest never changes; one that was changed is written anew, deterministically. This package knows
neither the store nor any transport.
"""
