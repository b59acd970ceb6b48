"""Tests of one part at a time, without a store or a process."""
