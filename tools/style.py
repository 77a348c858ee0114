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
MOST_COLUMNS = 100
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


def violations(path: Path) -> Iterator[str]:
    """List what breaks a rule in a file, as "line: rule"."""
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MOST_COLUMNS:
            yield f"{number}: {len(line)} columns"
    numbers = code_lines(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            yield from function_violations(node, numbers)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.For)):
            yield from assignment_violations(node)
        elif isinstance(node, COMPREHENSIONS):
            yield from comprehension_violations(node)
        elif isinstance(node, ast.BinOp):
            yield from product_violations(node)


def function_violations(node: ast.FunctionDef, numbers: set[int]) -> Iterator[str]:
    """Check the length of a function; `numbers` are those of the lines of code."""
    size = len(numbers & set(range(node.lineno, node.end_lineno + 1)))
    if size > MOST_LINES:
        yield f"{node.lineno}: {node.name} has {size} lines of code"


def assignment_violations(node: ast.Assign | ast.AnnAssign | ast.For) -> Iterator[str]:
    """Check how many names an assignment or a loop binds, and what they are called."""
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    is_assignment = isinstance(node, ast.Assign) and isinstance(target, ast.Tuple)
    if is_assignment and len(target.elts) > MOST_NAMES:
        yield f"{node.lineno}: {len(target.elts)} names in one assignment"
    yield from name_violations(target)


def comprehension_violations(node: ast.expr) -> Iterator[str]:
    """Check that a comprehension holds no other one."""
    inner = [child for child in ast.walk(node) if isinstance(child, COMPREHENSIONS)]
    if len(inner) > 1:
        yield f"{node.lineno}: nested comprehension"
    for generator in node.generators:
        yield from name_violations(generator.target)


def product_violations(node: ast.BinOp) -> Iterator[str]:
    """Check that no list is multiplied by a condition."""
    is_product = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List)
    if is_product and not isinstance(node.right, ast.Constant):
        yield f"{node.lineno}: a list times a value"


def name_violations(target: ast.expr) -> Iterator[str]:
    """Check the variables that an assignment binds."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and node.id in POOR_NAMES:
            yield f"{node.lineno}: the variable {node.id} is not named by a noun"


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
