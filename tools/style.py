"""Measure the code and list what breaks its layout rules.

python tools/style.py table           size and density of the method, the course, tests and tools
python tools/style.py check [PATH...] each place that breaks a rule of CONTRIBUTING, "Layout"

Lines of code leave out docstrings, comments and blank lines, formatted at 100 columns.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MOST_LINES = 40  # of code in a function
MOST_NAMES = 2  # in an assignment
# Participles and question words say nothing about what a variable holds.
POOR_NAMES = frozenset(
    [
        "found",
        "made",
        "kept",
        "shown",
        "said",
        "drawn",
        "chosen",
        "known",
        "given",
        "taken",
        "left",
        "how",
        "what",
        "where",
        "which",
        "who",
    ]
)
# Longer functions, each with the reason.
LONG_FUNCTIONS: dict[str, str] = {}


@dataclass(frozen=True)
class Measures:
    """Size and density of some files."""

    lines: int
    code: int
    statements: int
    nodes: int
    comprehensions: int

    def __str__(self) -> str:
        nodes = self.nodes / max(self.statements, 1)
        comprehensions = 100 * self.comprehensions / max(self.code, 1)
        return f"{self.lines:7} {self.code:7} {nodes:8.1f} {comprehensions:8.1f}"


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that belong to docstrings."""
    numbers: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node):
            docstring = node.body[0]
            numbers.update(range(docstring.lineno, docstring.end_lineno + 1))
    return numbers


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines of code, from 1."""
    documented = docstring_lines(ast.parse(text))
    numbers = set()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#") and number not in documented:
            numbers.add(number)
    return numbers


def measure(paths: list[Path]) -> Measures:
    """Count lines, statements, nodes of the syntax tree and comprehensions of Python files."""
    lines = code = statements = nodes = comprehensions = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines += len(text.splitlines())
        code += len(code_lines(text))
        for node in ast.walk(ast.parse(text)):
            nodes += 1
            statements += isinstance(node, ast.stmt)
            comprehensions += isinstance(node, COMPREHENSIONS)
    return Measures(lines, code, statements, nodes, comprehensions)


def assigned_names(target: ast.expr) -> list[str]:
    """Return the variables that one target of an assignment binds."""
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def violations(path: Path) -> Iterator[str]:
    """List what breaks a rule in a file, as "line: rule"."""
    text = path.read_text(encoding="utf-8")
    numbers = code_lines(text)
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 100:
            yield f"{number}: {len(line)} columns"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            size = len(numbers & set(range(node.lineno, node.end_lineno + 1)))
            if size > MOST_LINES and node.name not in LONG_FUNCTIONS:
                yield f"{node.lineno}: {node.name} has {size} lines of code"
        if isinstance(node, COMPREHENSIONS):
            inner = [child for child in ast.walk(node) if isinstance(child, COMPREHENSIONS)]
            if len(inner) > 1:
                yield f"{node.lineno}: nested comprehension"
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Tuple) and len(target.elts) > MOST_NAMES:
                yield f"{node.lineno}: {len(target.elts)} names in one assignment"
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.For, ast.comprehension)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in assigned_names(targets[0]):
                if name in POOR_NAMES:
                    yield f"{targets[0].lineno}: the variable {name} is not named by a noun"
        product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        if product and isinstance(node.left, ast.List) and not isinstance(node.right, ast.Constant):
            yield f"{node.lineno}: a list times a value"


def rooms() -> dict[str, list[Path]]:
    """Return the files of each part of the project."""
    package = sorted((ROOT / "vadlib").rglob("*.py"))
    parts: dict[str, list[Path]] = {}
    for path in package:
        inside = path.relative_to(ROOT / "vadlib").parts
        parts.setdefault(f"vadlib/{inside[0]}" if len(inside) > 1 else "vadlib", []).append(path)
    course = parts["vadlib/course"]
    parts["method"] = [path for path in package if path not in course]
    for folder in ("tests", "tools", "benchmarks"):
        parts[folder] = sorted((ROOT / folder).rglob("*.py"))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["table", "check"])
    parser.add_argument("paths", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "table":
        print(f"{'part':20} {'lines':>7} {'code':>7} {'nodes':>8} {'compr.':>8}")
        for name, paths in rooms().items():
            print(f"{name:20} {measure(paths)}")
        return
    count = 0
    for path in arguments.paths or [ROOT / "vadlib"]:
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for violation in violations(file):
                print(f"{file}:{violation}")
                count += 1
    sys.exit(f"{count} places" if count else 0)


if __name__ == "__main__":
    main()
