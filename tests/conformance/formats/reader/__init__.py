"""A second reader of every file of a store, written from the text of ``docs/formats`` alone.

It exists to prove that the text is enough: it shares no line with fastlayer and imports nothing of
it, and where it had to be told more than the text says, the text was mended. One module a format.
It reads the plain way, whole files in memory, and believes nothing: whatever a format says of
itself is checked, and what does not hold raises
:class:`~tests.conformance.formats.reader.refusal.RefusedError`.
"""
