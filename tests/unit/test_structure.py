"""The house rules of DESIGN.md section 2, checked: who imports whom, how long files are.

These read source files, so they run in the source tree, whatever package is installed.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "fastlayer"

RANKS = [
    {"cli"},
    {"builder"},
    {"container"},
    {"transport"},
    {"image"},
    {"cache"},
    {"oci", "dockerfile", "store", "progress"},
    {"errors", "value"},
]
"""A part may import parts of its own rank's right, and itself."""

ONLY_IN = {
    "click": ("cli/",),
    "rich": ("progress/tty.py",),
    "sqlite3": ("cache/",),
    "urllib3": ("transport/",),
    "obstore": ("transport/",),
    "fastlayer._core": ("store.py",),
}

RUST_MAY_USE = {
    "tar": set(),
    "fs": set(),
    "context": {"fs"},
    "store": {"tar", "fs", "context"},
    "sandbox": {"fs"},
    "properties": {"tar", "fs", "context", "store"},
    "python": {"tar", "fs", "context", "store", "sandbox"},
}

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}


def python_files(folder: Path) -> list[Path]:
    """The folder's files; what is built, cached or installed below the project is not its own."""
    found = []
    for path in folder.rglob("*.py"):
        inside = path.relative_to(folder).parts
        if not any(part.startswith(".") or part in {"target", "dist"} for part in inside):
            found.append(path)
    return sorted(found)


def rust_files() -> list[Path]:
    return sorted((ROOT / "rust").rglob("*.rs"))


def part_of(relative: str) -> str:
    head = relative.split("/")[0]
    return head.removesuffix(".py")


def rank(part: str) -> int | None:
    for number, parts in enumerate(RANKS):
        if part in parts:
            return number
    return None


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names a file imports, with line numbers; ``from a import b`` gives a.b too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def test_python_parts_import_only_to_their_right() -> None:
    wrong = []
    for path in python_files(PACKAGE):
        relative = path.relative_to(PACKAGE).as_posix()
        own = rank(part_of(relative))
        if own is None:
            continue
        for name, line in imports(path):
            if not name.startswith("fastlayer."):
                continue
            other_part = name.split(".")[1]
            other = rank(other_part)
            if other is None or other_part == part_of(relative):
                continue
            # The renderers of progress are the command line's; events are everybody's.
            events = within(name, "fastlayer.progress.events")
            late_progress = other_part == "progress" and not events
            if other <= own or (late_progress and part_of(relative) != "cli"):
                wrong.append(f"{relative}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_second_reader_of_the_formats_knows_nothing_of_the_first() -> None:
    reader = ROOT / "tests" / "conformance" / "formats" / "reader"
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in python_files(reader)
        for name, line in imports(path)
        if within(name, "fastlayer")
        or (within(name, "tests") and not within(name, "tests.conformance.formats.reader"))
    ]
    assert not wrong, "\n".join(wrong)


def test_heavy_modules_are_imported_in_one_place() -> None:
    wrong = []
    for path in python_files(PACKAGE):
        relative = path.relative_to(PACKAGE).as_posix()
        for name, line in imports(path):
            for module, homes in ONLY_IN.items():
                if within(name, module) and not relative.startswith(homes):
                    wrong.append(f"{relative}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints() -> None:
    wrong = []
    for path in python_files(PACKAGE):
        relative = path.relative_to(PACKAGE).as_posix()
        if relative.startswith("cli/") or relative == "dockerfile/__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "sys.exit"}:
                wrong.append(f"{relative}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("crate", sorted(RUST_MAY_USE))
def test_rust_crates_depend_as_designed(crate: str) -> None:
    manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text())
    used = {
        name.removeprefix("fastlayer-")
        for name in manifest.get("dependencies", {})
        if name.startswith("fastlayer-")
    }
    assert used <= RUST_MAY_USE[crate]
    assert ("pyo3" in manifest.get("dependencies", {})) == (crate == "python")


def test_tar_does_no_input_or_output() -> None:
    for path in (ROOT / "rust" / "tar" / "src").rglob("*.rs"):
        text = path.read_text()
        assert not re.search(r"std::(fs|net|process|os)|rustix", text), path


def test_unsafe_stands_only_in_fs_and_sandbox_with_its_reason() -> None:
    for path in rust_files():
        text = path.read_text()
        crate = path.relative_to(ROOT / "rust").parts[0]
        blocks = len(re.findall(r"\bunsafe\s*(\{|impl\b|fn\b|extern\b)", text))
        if crate not in {"fs", "sandbox"}:
            assert not blocks, f"{path}: unsafe"
        else:
            assert text.count("SAFETY:") >= blocks, f"{path}: unsafe without SAFETY"


def test_files_and_functions_are_short() -> None:
    wrong = []
    for path in [*python_files(ROOT), *rust_files()]:
        count = len(path.read_text().splitlines())
        if count > MAX_FILE_LINES:
            wrong.append(f"{path.relative_to(ROOT)}: {count} lines")
    for path in python_files(PACKAGE):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    wrong.append(
                        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines"
                    )
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is_for() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in python_files(PACKAGE)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_bytes()))
    ]
    wrong += [
        str(path.relative_to(ROOT))
        for path in rust_files()
        if "/src/" in path.as_posix() and not path.read_text().startswith("//!")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_is_a_drawer() -> None:
    names = [*python_files(ROOT), *rust_files()]
    assert not [path for path in names if path.stem in FORBIDDEN_NAMES]


def test_nothing_is_left_open() -> None:
    open_marks = re.compile(r"TODO|FIXME|XXX|todo!\(|unimplemented!\(|NotImplementedError")
    wrong = [
        str(path.relative_to(ROOT))
        for path in [*python_files(PACKAGE), *rust_files()]
        if open_marks.search(path.read_text())
    ]
    assert not wrong, "\n".join(wrong)
