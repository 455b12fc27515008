"""A plan as source: its steps one after the other, as somebody would have written them for this route alone.

For `GET /todos/{todo_id}` with a user and a query that has been opened by a dependency it looks like this:

    async def handle(request):
        call = Call(request, MISSING, 3)
        values = call.values
        values[0] = await invoke0(request=request)
        values[1] = await invoke1(user=values[0])
        try:
            given0 = get2_todo_id(call)
        except REFUSED:
            return await walk(call, 2)
        return shape(call, await invoke2(todos=values[1], todo_id=given0))
"""

import linecache
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from doable.compiled_routes.eligibility import Handle
from doable.compiled_routes.parameters import MISSING, Call, Unfit
from doable.compiled_routes.plan import Step

REFUSED = (Unfit, ValidationError)


def handler(name: str, steps: Sequence[Step], names: Mapping[str, Any]) -> Handle:
    """`names`: `walk(call, number)`, which takes the steps from that one on and knows what is unusual, and is called
    where a step is refused; `shape(call, returned)`; `open(step, manager, scope)`; `read_body(request)` or `None`.
    """
    source = "\n".join(_lines(steps, reads=names["read_body"] is not None)) + "\n"
    file = f"<compiled {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for tracebacks
    known = {"Call": Call, "MISSING": MISSING, "REFUSED": REFUSED, **names}
    for number, step in enumerate(steps):
        known |= {f"step{number}": step, f"invoke{number}": step.invoke, f"seldom{number}": step.seldom}
        known |= {f"get{number}_{name}": get for name, get in step.found.items()}
    exec(compile(source, file, "exec"), known)  # noqa: S102 — made of numbers, and of parameters' names
    made: Handle = known["handle"]
    return made


def _lines(steps: Sequence[Step], *, reads: bool) -> Iterator[str]:
    yield "async def handle(request):"
    yield f"    call = Call(request, {'await read_body(request)' if reads else 'MISSING'}, {len(steps)})"
    yield "    values = call.values"
    for number, step in enumerate(steps):
        arguments = [f"{name}={source}" for name, source in step.sure.items()]
        looks = [f"given{place} = get{number}_{name}(call)" for place, name in enumerate(step.found)]
        arguments += [f"{name}=given{place}" for place, name in enumerate(step.found)]
        if step.seldom is not None:
            looks.append(f"seldom = seldom{number}(call)")
            arguments.append("**seldom")
        if looks:
            yield "    try:"
            yield from (f"        {look}" for look in looks)
            yield "    except REFUSED:"
            yield f"        return await walk(call, {number})"
        called = f"invoke{number}({', '.join(arguments)})"
        if step.opens:
            called = f"open(step{number}, {called}, request.scope)"
        if number < len(steps) - 1:
            yield f"    values[{number}] = await {called}"
        else:
            yield f"    return shape(call, await {called})"
