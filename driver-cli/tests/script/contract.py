# Compares the package with tests/contract/api.toml, whose path is in `contract` beside this file; writes what the record must have.
import importlib
import inspect
import json
import re
import subprocess
import tomllib
import types
from datetime import timedelta
from pathlib import Path

from test_driver.errors import MachineError, QMPAPIError, RequestedAssertionFailed
from test_driver.polling_condition import PollingConditionError

here = Path(__file__).parent
contract = tomllib.loads(Path((here / "contract").read_text()).read_text())
wrong = []
SHORT = timedelta(milliseconds=50)


def expect(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise SystemExit(f"no {kind} came")


def named(name):
    value = globals()[name.split(".")[0]]
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


def compare(name, function, wanted, bound):
    scope = {"timedelta": timedelta}
    exec(f"def function{wanted['signature']}: pass", scope)
    theirs = list(inspect.signature(scope["function"]).parameters.values())
    own = inspect.signature(function)
    ours = list(own.parameters.values())[0 if bound else 1 :]
    positional = [one for one in ours if one.kind is not one.KEYWORD_ONLY]
    shape = [(one.name, one.kind, one.default) for one in theirs]
    listed = [one.name for one in theirs]
    if [(one.name, one.kind, one.default) for one in ours if one.name in listed] != shape:
        wrong.append(f"{name}: ours is {own}, upstream's {wanted['signature']}")
    more = [one for one in ours if one.name not in listed]
    if any(one.default is one.empty for one in more):
        wrong.append(f"{name}: {own} has parameters that upstream's callers do not give")
    if any(one in positional[: len([o for o in theirs if o.kind is not o.KEYWORD_ONLY])] for one in more):
        wrong.append(f"{name}: {own} has parameters of ours before upstream's")
    returns = wanted.get("ours", wanted.get("returns"))
    if returns is not None and own.return_annotation != returns:
        wrong.append(f"{name}: returns {own.return_annotation}, not {returns}")


kinds = {
    "class": type,
    "function": (types.FunctionType, types.MethodType),
    "list": list,
    "module": types.ModuleType,
    "object": object,
}
for name, kind in contract["globals"].items():
    if name not in globals():
        wrong.append(f"no global {name}")
    elif not isinstance(globals()[name], kinds[kind]):
        wrong.append(f"{name} is no {kind}")
for name, wanted in contract["functions"].items():
    compare(name, named(name), wanted, bound=True)
for kind, methods in contract["methods"].items():
    for name, wanted in methods.items():
        for cls in (NspawnMachine,) if kind == "NspawnMachine" else (QemuMachine, NspawnMachine):
            method = inspect.getattr_static(cls, name, None)
            if method is None:
                wrong.append(f"{cls.__name__} has no method {name}")
            elif kind in ("BaseMachine", cls.__name__):
                compare(f"{cls.__name__}.{name}", method, wanted, bound=False)
for name, attributes in contract["attributes"].items():
    for attribute in attributes:
        if attribute not in vars(named(name)) and not hasattr(type(named(name)), attribute):
            wrong.append(f"{name} has no attribute {attribute}")
for module, names in contract["modules"].items():
    found = importlib.import_module(module)
    wrong += [f"{module} has no {name}" for name in names if not hasattr(found, name)]
for name, base in contract["bases"].items():
    if not issubclass(globals()[name], getattr(__import__("builtins"), base)):
        wrong.append(f"{name} is no {base}")


# What calls of the file use.


@polling_condition(interval=timedelta(0), description="it holds")
def condition():
    return holds


def with_condition():
    with condition:
        box.succeed("true")


def failing_condition():
    global holds
    holds = False
    try:
        with_condition()
    finally:
        holds = True


def copy_nothing():
    box.copy_from_machine("/no such file")


def in_subtest():
    with subtest("a part"):
        raise RuntimeError("no")


holds = True
box.start()
for number, case in enumerate(contract["error"]):
    kind = eval(case["raises"], {**vars(__import__("builtins")), **globals()})
    try:
        exec(compile(case["call"], f"<error {number}>", "exec"))
    except kind as error:
        said = str(error)
        if type(error) is not kind and kind is not AssertionError:
            wrong.append(f"{case['call']}: raises {type(error)}")
        fits = said == case["text"] if "text" in case else re.search(case["pattern"], said)
        if not fits:
            wrong.append(f"{case['call']}: says {said!r}")
    except BaseException as error:
        wrong.append(f"{case['call']}: raises {error!r}")
    else:
        wrong.append(f"{case['call']}: raises nothing")
steps, lines = [], []
for number, case in enumerate(contract["record"]):
    try:
        exec(compile(case["call"], f"<record {number}>", "exec"))
    except BaseException as error:
        wrong.append(f"{case['call']}: raises {error!r}")
    steps += [case["step"]] if "step" in case else []
    lines += [case["line"]] if "line" in case else []
(here / "expected").write_text(json.dumps({"steps": steps, "lines": lines}))
if wrong:
    raise SystemExit("\n".join(wrong))
