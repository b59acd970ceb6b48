"""Whole builds of others' test cases, by fastlayer and by a Docker Engine beside it."""
