"""Benchmarks: every figure beside a named peer, in the same run, on a fresh file system."""
