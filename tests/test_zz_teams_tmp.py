import time, json
from uuid import UUID
import pytest
from tests.api.test_teams import open_branch
from tests.support.world import World
from crm_api.kit.ids import new_id

N=100_000
async def test_perf(world: World, owner) -> None:
    await world.patch("/v1/organization", {"team_access":"on"})
    small = await open_branch(world,"small"); big = await open_branch(world,"big")
    org=world.id
    st=[f"CREATE TEMP TABLE p AS SELECT uuidv7(interval '-1 day' + n * interval '100 ms') AS id, n FROM generate_series(1,{N}) n",
     f"INSERT INTO contacts (organization_id,id,kind,display_name,given_name,family_name,created_at,updated_at) SELECT '{org}',id,'person','Олена П'||n,'Олена','П'||n,now(),now() FROM p",
     f"INSERT INTO contact_keys (organization_id,kind,value,contact_id) SELECT '{org}','word','olena p'||n,id FROM p",
     f"INSERT INTO contact_keys (organization_id,kind,value,contact_id) SELECT '{org}','tag','t'||(n%10),id FROM p",
     f"INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, method, received_at, gift_date, created_at, updated_at) SELECT '{org}', uuidv7(), id, 100, 'USD', 'succeeded', 'cash', now()- n*interval '1 minute', now()::date, now(), now() FROM p",
     f"INSERT INTO contact_teams (organization_id,contact_id,team_id,assigned_at) SELECT '{org}',id,'{small.team_id}',now() FROM p WHERE n%100=0",
     f"INSERT INTO contact_teams (organization_id,contact_id,team_id,assigned_at) SELECT '{org}',id,'{big.team_id}',now() FROM p WHERE n%2=1",
    ]
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id='{org}'")
        for s in st: await owner.execute(s)
    for t in ("contacts","contact_keys","gifts","contact_teams"): await owner.execute(f"ANALYZE {t}")
    who={"all":world,"1%":small,"50%":big}
    for path in ("/v1/contacts","/v1/contacts?sort=-created_at","/v1/contacts?q=Олена","/v1/contacts?tag=t0","/v1/contacts?include_total=true","/v1/donations","/v1/donations?sort=-received_at","/v1/contacts?tag=t1"):
        row=[]
        for name,w in who.items():
            ts=[]
            for _ in range(8):
                a=time.perf_counter(); r=await w.get(path); ts.append(time.perf_counter()-a)
            row.append(f"{name}: {min(ts)*1000:.1f} ms n={len(r['data'])}")
        print(path, " | ".join(row))
    c=(await small.get("/v1/contacts"))["data"][0]["id"]
    for path in (f"/v1/contacts/{c}", f"/v1/contacts/{c}/timeline"):
        row=[]
        for name,w in (("all",world),("1%",small)):
            ts=[]
            for _ in range(10):
                a=time.perf_counter(); r=await w.get(path); ts.append(time.perf_counter()-a)
            row.append(f"{name}: {min(ts)*1000:.1f} ms")
        print(path[-10:], row)
