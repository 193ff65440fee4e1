"""What people are told when a script fails: its own lines and the message, nothing of the driver's."""

from __future__ import annotations

import linecache
import os

from test_driver.words import printable, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


_FOREIGN = (os.path.join(os.path.dirname(__file__), ""), os.path.join(os.path.dirname(os.__file__), ""))
"""Where this package and the standard library lie."""


_MOST_FRAMES = 40
"""Of a longer traceback, such as that of a recursion without end, the first and the last ones are shown."""


def failure(error: BaseException, script: str) -> str:
    """The report of an exception that left a script, of several lines. Works for any exception, however odd."""
    try:
        return printable(_report(error, script))
    except BaseException as another:  # noqa: BLE001 - code of the script's makes its exceptions' texts
        return f"{type(error).__name__}: (reporting it failed: {type(another).__name__})"


def _report(error: BaseException, script: str) -> str:
    lines = ["Traceback (most recent call last):"]
    frames = list(_frames(error.__traceback__, script))
    more = len(frames) - _MOST_FRAMES
    for number, (file, line, function) in enumerate(frames):
        if more > 0 and _MOST_FRAMES // 2 <= number < _MOST_FRAMES // 2 + more:
            if number == _MOST_FRAMES // 2:
                lines.append(f"  … ({more} more)")
            continue
        lines.append(f'  File "{file}", line {line}, in {function}')
        if source := linecache.getline(file, line).strip():
            lines.append(f"    {source}")
    lines += ["", *_told(error)]
    for cause in _causes(error):
        place = "".join(f" ({os.path.basename(file)}, line {line})" for file, line, _ in _last(cause, script))
        lines.append(f"caused by {_told(cause)[0]}{place}")
    return "\n".join(lines)


def at_prompt(error: BaseException, script: str) -> str:
    """The same of an exception that came to a prompt; nothing if it is neither a verb's nor the script's."""
    text = failure(error, script)
    if trace(error, script) is not None:
        return text
    own = type(error).__module__.partition(".")[0] == "test_driver"
    return text.partition("\n\n")[2] if own else ""


def trace(error: BaseException, script: str) -> TracebackType | None:
    """The error's frames of the script, without those of what it called."""
    frames = []
    step = error.__traceback__
    while step:
        if _is_of_script(step.tb_frame.f_code.co_filename, script):
            frames.append(step)
        step = step.tb_next
    result = None
    for step in reversed(frames):
        result = type(step)(result, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return result


def _told(error: BaseException) -> list[str]:
    kind, message = type(error), words(error)
    plain = str(kind.__module__).partition(".")[0] in ("__main__", "builtins", "test_driver")
    name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
    lines = [f"{name}: {message}" if message else name]
    notes = getattr(error, "__notes__", ())
    if isinstance(notes, (list, tuple)):
        lines += [str(note) for note in notes]
    if isinstance(error, SyntaxError) and error.filename and error.text:
        lines.append(f"    {error.text.strip()}")
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  {line}" for one in error.exceptions for line in _told(one)]
    return lines


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    while True:
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None or id(following) in seen:
            return
        seen.add(id(following))
        error = following
        yield error


def _last(error: BaseException, script: str) -> list[tuple[str, int, str]]:
    return list(_frames(error.__traceback__, script))[-1:]


def _frames(trace: TracebackType | None, script: str) -> Iterator[tuple[str, int, str]]:
    """The frames of the script and of modules that lie beside or below it."""
    while trace:
        code = trace.tb_frame.f_code
        if _is_of_script(code.co_filename, script):
            yield code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next


def _is_of_script(file: str, script: str) -> bool:
    home = os.path.join(os.path.dirname(script), "")
    return file == script or (file.startswith(home) and not file.startswith(_FOREIGN) and "-packages/" not in file)
