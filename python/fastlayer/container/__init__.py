"""Containers: processes in namespaces over immutable layers, their state, and commits of them.

``step`` runs one RUN of a build; ``lifecycle`` creates, starts, stops and removes containers;
``commit``, ``diff`` and ``copy`` read what a container changed. Nothing here prints or parses
a command line.
"""
