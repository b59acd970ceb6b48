"""The measured input: a build context of tens of thousands of files of real Python packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    *("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "jupyterlab"),
    *("django", "sympy", "boto3", "sqlalchemy", "plotly", "pyarrow"),
)

DOCKERFILE = """\
FROM {base}
COPY site /opt/site
"""


def site_packages(cache: Path) -> Path:
    """The installed packages, made once in a cache folder (about 1 GB)."""
    folder = cache / "context" / "site"
    if not folder.exists():
        part = folder.with_name("site.part")
        shutil.rmtree(part, ignore_errors=True)
        words = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*words, "--target", str(part), *PACKAGES], check=True)
        part.rename(folder)
    return folder


def copy_context(site: Path, destination: Path, base: str) -> Path:
    """A context on the measured file system: the Dockerfile and a copy of the packages."""
    destination.mkdir()
    (destination / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    subprocess.run(["cp", "-a", str(site), str(destination / "site")], check=True)
    return destination


def touch_all(folder: Path) -> None:
    """Give every file a new mtime and leave its content."""
    subprocess.run(["find", str(folder), "-type", "f", "-exec", "touch", "{}", "+"], check=True)


def edit_one(folder: Path, number: int) -> None:
    """Change the content of one file among all."""
    (folder / "numpy" / "version.py").write_text(f"version = {number}\n")
