"""Input that means harm: nothing outside a root is touched, and no memory or disk is exhausted."""
