"""What can be said about a script without running it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    Problem = dict[str, Any]


def check(script: str, requires_python: str, dependencies: list[str]) -> tuple[CodeType | None, list[Problem]]:
    """The compiled script, and what is wrong with it or missing for it. Without problems there is code."""
    code, problems = _compile(script)
    if requires_python:
        problems += _version(requires_python)
    for requirement in dependencies:
        problems += _dependency(requirement)
    return code, problems


def _compile(script: str) -> tuple[CodeType | None, list[Problem]]:
    try:
        with open(script, "rb") as file:
            source = file.read()
        return compile(source, script, "exec", dont_inherit=True), []
    except SyntaxError as error:
        problem = {
            "kind": "syntax",
            "message": error.msg,
            "line": error.lineno,
            "column": error.offset,
            "text": error.text,
        }
        return None, [problem]
    except (OSError, ValueError) as error:
        return None, [{"kind": "unreadable", "message": str(error)}]


def _version(requirement: str) -> list[Problem]:
    """Whether this interpreter has a version that PEP 440 says fits."""
    import re

    own = sys.version_info[:3]
    for clause in requirement.split(","):
        parsed = re.fullmatch(r"\s*(~=|==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+){0,2})(\.\*)?\s*", clause)
        if not parsed or (parsed[3] and parsed[1] not in ("==", "!=")):
            message = "is not a version specifier as PEP 440 has it"
            return [{"kind": "malformed", "what": "requires-python", "requirement": requirement, "message": message}]
        numbers = tuple(int(number) for number in parsed[2].split("."))
        wanted = (*numbers, 0, 0)[:3]
        same = own[: len(numbers)] == numbers if parsed[3] else own == wanted
        fits = {
            "~=": own >= wanted and own[: len(numbers) - 1] == numbers[:-1],
            "==": same,
            "!=": not same,
            "<=": own <= wanted,
            ">=": own >= wanted,
            "<": own < wanted,
            ">": own > wanted,
        }
        if not fits[parsed[1]]:
            return [{"kind": "version", "requirement": requirement}]
    return []


def _dependency(requirement: str) -> list[Problem]:
    """Whether a requirement (PEP 508) is met. Versions and markers count if ``packaging`` or pip is there to judge them."""
    import importlib.metadata
    import re

    malformed = {"kind": "malformed", "what": "dependency", "requirement": requirement}
    parsed = None
    for library in ("packaging", "pip._vendor.packaging"):
        try:
            parsed = importlib.import_module(f"{library}.requirements").Requirement(requirement)
            break
        except ImportError:
            continue
        except ValueError as error:
            return [malformed | {"message": str(error)}]
    name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    if not name:
        return [malformed | {"message": "is not a requirement as PEP 508 has it"}]
    if parsed and parsed.marker and not parsed.marker.evaluate():
        return []
    missing = {"kind": "dependency", "requirement": requirement}
    try:
        version = importlib.metadata.version(name[1])
    except importlib.metadata.PackageNotFoundError:
        return [missing | {"message": "not installed"}]
    if parsed and not parsed.specifier.contains(version, prereleases=True):
        return [missing | {"message": f"installed in version {version}"}]
    return []
