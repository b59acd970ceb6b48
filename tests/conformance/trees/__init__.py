"""Trees of other tools and of ours, field by field."""
