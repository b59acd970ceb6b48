"""``python -m fastlayer.cli``."""

from fastlayer.cli.main import entry

if __name__ == "__main__":
    entry()
