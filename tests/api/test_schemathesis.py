"""exploration"""

from __future__ import annotations

import asyncio
import collections
import os
import time
from typing import Any

import schemathesis
from schemathesis.engine import events, from_schema

from tests.api.surface import plant


def bridge(app: Any, loop: asyncio.AbstractEventLoop) -> Any:
    async def run(scope: Any, messages: list[Any]) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        future = asyncio.run_coroutine_threadsafe(run(scope, messages), loop)
        for message in await asyncio.wrap_future(future):
            await send(message)

    return application


async def test_x(world):
    await plant(world)
    loop = asyncio.get_running_loop()
    app = bridge(world.client._transport.app, loop)
    n = int(os.environ.get("N", "5"))
    phases = os.environ.get("P", "examples,coverage,fuzzing,stateful").split(",")
    config = schemathesis.Config.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {world.api_key}"},
            "generation": {"max-examples": n, "deterministic": True, "database": "none", "no-shrink": True},
            "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
            "continue-on-failure": True,
        }
    )
    schema = await asyncio.to_thread(schemathesis.openapi.from_asgi, "/openapi.json", app, config=config)
    counts = collections.Counter()
    seen = {}

    def run():
        t = time.time()
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                counts[event.phase.name] += len(event.recorder.cases)
                for case_id, nodes in event.recorder.checks.items():
                    for node in nodes:
                        counts["check:" + node.name] += 1
                        if node.failure_info is not None:
                            f = node.failure_info.failure
                            key = (event.phase.name, node.name, event.recorder.label, f.title)
                            if key not in seen:
                                seen[key] = (f.message[:700], node.failure_info.code_sample[:700])
            elif isinstance(event, (events.NonFatalError, events.FatalError)):
                print(
                    "ERROR",
                    event.label if hasattr(event, "label") else "",
                    repr(getattr(event, "value", None) or event.exception)[:800],
                )
            elif isinstance(event, events.PhaseFinished):
                print(event.phase.name, event.status, round(time.time() - t, 1))
                t = time.time()

    await asyncio.to_thread(run)
    print(counts)
    by = collections.Counter(k[:2] for k in seen)
    print(by)
    for k, v in seen.items():
        print("-----", k)
        print(v[0])
        print(v[1])
