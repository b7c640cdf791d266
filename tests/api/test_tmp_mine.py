import tests.api.test_schemathesis as t
from tests.api.test_schemathesis import *
MINE=('/v1/recurring','/v1/pledges','/v1/dunning','/v1/charge-att')
@pytest.mark.filterwarnings("ignore")
async def test_mine(world, monkeypatch):
    await plant(world)
    monkeypatch.setattr(t._Client, "adapter", t._InProcess(world, asyncio.get_running_loop()), raising=False)
    monkeypatch.setattr(asgi, "get_client", lambda *_, **__: t._Client())
    doc=t._thinned(document()); doc['paths']={k:v for k,v in doc['paths'].items() if k.startswith(MINE)}
    schema = schemathesis.openapi.from_dict(doc, config=t._config(world))
    schema.app = world.client._transport.app
    report = await asyncio.to_thread(t._run, schema)
    assert not report.failures, str(report)
