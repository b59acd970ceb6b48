"""What several tests share: requirements, fixtures made by scripts."""
