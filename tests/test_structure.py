"""The shape of the code, as the style guide asks for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "icapd").rglob("*.py"))
MAX_MODULE = 400  # lines, exclusive
MAX_FUNCTION = 40  # lines, exclusive; without decorators and docstring
VAGUE = {"handler", "manager", "engine", "processor", "utils", "misc", "helper", "whitelist", "blacklist"}

# Modules without a test file of their own, and where they are tested instead.
WITHOUT_MIRROR = {
    "icapd/__main__.py": "tests/cli/test_main.py runs it",
    "icapd/adapters/child.py": "tests/adapters/test_children.py asks, stops and kills it",
    "icapd/adapters/model.py": "types only",
    "icapd/cli/demo.py": "tests/e2e/test_demo.py runs it",
    "icapd/cli/options.py": "every command's tests use it",
    "icapd/content/look.py": "types only",
    "icapd/content/model.py": "types only",
    "icapd/content/part.py": "types only",
    "icapd/demo/": "the lab under tests/e2e, which fail if it does not do as it says",
    "icapd/doctor/": "tests/e2e/test_doctor.py runs all probes on a lab, healthy and broken",
    "icapd/errors.py": "texts and statuses, in tests/cli/test_main.py",
    "icapd/events/queries.py": "tests/events/test_store.py asks the store and looks at SQLite's plans",
    "icapd/lists/__main__.py": "tests/lists/test_child.py runs it",
    "icapd/lists/entry.py": "types only",
    "icapd/options.py": "what each kind of value refuses, in tests/test_config.py",
    "icapd/server/answering.py": "in tests/server/test_transfer.py and test_connection.py, which ask over ICAP",
    "icapd/server/interfaces.py": "types only",
    "icapd/server/lifetime.py": "deadlines and ends, in tests/server/test_connection.py",
    "icapd/server/message.py": "its line and its decision, in tests/server/test_transfer.py",
    "icapd/server/agreement.py": "reloads, in tests/server/test_workers_reload.py",
    "icapd/server/asking.py": "probes, in tests/server/test_workers.py",
    "icapd/server/crew.py": "spread and deaths, in tests/server/test_workers.py and test_workers_deaths.py",
    "icapd/server/front.py": "peers and limits, in tests/server/test_workers.py",
    "icapd/server/nursery.py": "tests/server/test_workers_deaths.py kills it, and what it forks",
    "icapd/server/supervisor.py": "tests/server/test_workers.py and its kin run it",
    "icapd/server/worker.py": "tests/server/test_workers.py and its kin run it",
    "icapd/transaction.py": "fields only",
    "icapd/verdicts.py": "types only",
}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_modules_and_functions_are_short_and_named_for_what_they_do(module: Path) -> None:
    text = (ROOT / module).read_text()
    assert text.count("\n") < MAX_MODULE
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert not [f"{f.name}: {length(f)} lines" for f in functions(tree) if length(f) >= MAX_FUNCTION]
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names += [function.name for function in functions(tree)] + list(module.with_suffix("").parts)
    assert not [name for name in names if VAGUE & set(name.lower().strip("_").split("_"))]
    assert not [
        name for name in names if name.endswith(("Handler", "Manager", "Engine", "Processor", "Helper"))
    ]


def mirror(module: Path) -> Path:
    return ROOT / "tests" / module.relative_to("icapd").with_name(f"test_{module.name}")


def test_every_module_has_its_test_file() -> None:
    wanted = [module for module in MODULES if module.name != "__init__.py"]
    missing = {str(module) for module in wanted if not mirror(module).exists()}
    explained = {name: {module for module in missing if module.startswith(name)} for name in WITHOUT_MIRROR}
    assert sorted(missing - set().union(*explained.values())) == []
    assert [name for name, modules in explained.items() if not modules] == []


def test_init_modules_hold_documentation_and_names_only() -> None:
    for module in MODULES:
        if module.name == "__init__.py":
            body = ast.parse((ROOT / module).read_text()).body
            allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.If)
            assert not [node for node in body if not isinstance(node, allowed)], module
