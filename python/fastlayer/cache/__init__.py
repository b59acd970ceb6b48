"""The layer cache: which step, on which tree, gave which layer.

``keys`` says when two steps are the same (pure), ``index`` keeps records in SQLite (the only
module that knows it), ``policy`` decides which record may be used. Everything here can be rebuilt:
a lost or damaged cache costs time, never an image.
"""
