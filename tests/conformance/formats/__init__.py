"""The formats of ``docs/formats``, read a second time and changed under fastlayer's eyes."""
