"""Tests against data that others made."""
