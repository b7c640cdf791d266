"""The examples of the README and of every guide run, and show what comes. The format is in docs/guides/README.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.docs.reading import MORE, Unreadable, expected_json, read_guide
from tests.docs.running import Different, Story
from tests.support.fake_stripe import stripe_of_this_process
from tests.support.settings import COMMON_SERVICES
from tests.support.world import World

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", *sorted(set((ROOT / "docs" / "guides").glob("*.md")) - {ROOT / "docs/guides/README.md"})]
_WITHOUT_REQUESTS = {"sign-in.md"}
"""Guides that have nothing to ask of the API without another party."""
MakeWorld = Callable[..., Awaitable[World]]


@pytest.mark.parametrize("path", GUIDES, ids=[path.name.removesuffix(".md") for path in GUIDES])
async def test_the_examples_run(path: Path, make_world: MakeWorld) -> None:
    guide = read_guide(path)
    assert guide.requests or guide.not_run or path.name in _WITHOUT_REQUESTS, "no example of it is run"
    COMMON_SERVICES["stripe"] = stripe_of_this_process()
    await Story(guide, await make_world(**guide.world)).tell()


def _guide(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "guide.md"
    path.write_text(text)
    return path


STORY = """
<!-- world: currency=UAH language=uk timezone=Europe/Kyiv -->
# A guide

```http
POST /v1/contacts
Idempotency-Key: guide-1

{"given_name": "Олена", "emails": [{"address": "olena@example.org"}, {"address": "o@example.org"}]}
```

```json 201
{"id": "{contact_id}", "display_name": "Ол…", "emails": [{"address": "olena@example.org", …}, …],
 "phones": [], "created_at": "…", …}
```

<!-- http
POST /v1/funds

{"code": "winter", "name": "Winter"}
-->

Then:

    curl -s $API/v1/donations -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
      -d '{"contact_id": "{contact_id}", "amount": {"amount": 12550, "currency": "UAH"},
           "method": "bank_transfer"}'

```json
{"id": "01a2028a-f248-77c2-a72b-786b78d4386e", "status": "succeeded", "refunded_amount": {"amount": 0}}
```

<!-- not run: only shown -->
```http
GET /v1/nothing
```
```json
{"never": 1}
```

```sh
export KEY=x   # not ours
curl $API/v1/donations/01a2028a-f248-77c2-a72b-786b78d4386e -H "Authorization: Bearer $KEY"
curl -X PATCH "$API/v1/contacts/$CONTACT_ID" -d '{"language": "uk"}' -H "Content-Type: application/merge-patch+json"
```

```json 200
{"id": "{contact_id}", "language": "uk"}
```

```http
GET /v1/contacts/00000000-0000-7000-8000-000000000000
```

```json 404
{"code": "not_found"}
```

<!-- clock: 2027-01-01T00:00:00Z -->
```http
GET /v1/organization
```

```json
{"id": "{organization_id}", "currency": "UAH", "language": "uk", "test_clock": "2027-01-01T00:00:00Z"}
```

```python
this_is_not_run()
```
"""


async def test_a_story(tmp_path: Path, make_world: MakeWorld) -> None:
    guide = read_guide(_guide(tmp_path, STORY))
    assert guide.requests == 7
    assert guide.not_run == ["only shown"]
    world = await make_world(**guide.world)
    story = Story(guide, world)
    await story.tell()
    assert len((await world.get("/v1/donations"))["data"]) == 1
    assert story.kept["contact_id"] == (await world.get("/v1/contacts"))["data"][0]["id"]
    assert (await world.get("/v1/funds"))["data"][0]["code"] == "winter"


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ('"Ол…"', '"Ан…"', "guide.md:12: /display_name: 'Ан…' is shown, 'Олена' came"),
        ("json 201", "json 200", "guide.md:12: 201"),
        ('"phones": []', '"phones": ["…"]', "/phones: 1 items are shown, 0 came"),
        ("…}, …],", "…}],", "/emails: 1 items are shown, 2 came"),
        ('"amount": 0}', '"amount": 1}', "/refunded_amount/amount: 1 is shown, 0 came"),
        ('"uk"}\n```\n\n```http', '"uk", "nope": 1}\n```\n\n```http', "/nope: is not in the answer"),
        ("$CONTACT_ID", "$OTHER", "a variable of /v1/contacts/$OTHER is not known yet"),
        ('"code": "winter"', '"code": 1', "422"),
        ("$API/v1/donations/01a2028a-f248", "$API/v1/donations/01a2028a-f249", "404"),
    ],
)
async def test_what_is_wrong_is_noticed(
    tmp_path: Path, make_world: MakeWorld, right: str, wrong: str, words: str
) -> None:
    assert right in STORY
    guide = read_guide(_guide(tmp_path, STORY.replace(right, wrong, 1)))
    with pytest.raises(Different) as caught:
        await Story(guide, await make_world(**guide.world)).tell()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```json\n{}\n```", "guide.md:1: an answer without a request before it"),
        ("```http\nFETCH /v1/x\n```", "not a request line"),
        ("```http\nGET /v1/x\nnonsense\n```", "not a header"),
        ("```http\nGET /v1/x\n", "no end ``` of the block"),
        ("```sh\ncurl --proxy x $API/v1/x\n```", "curl --proxy is not known here"),
        ("<!-- not run: -->\n```http\nGET /v1/x\n```", "needs a reason"),
        ("<!-- sign: standard-webhooks x -->\n", "followed by nothing"),
        ("```http\nGET /v1/x\n```\n```json maybe\n{}\n```", "'maybe' is not a status"),
        ("```http\nGET /v1/x\n```\n<!-- world: mode=test -->", "before the first step"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_guide(_guide(tmp_path, text))
    assert words in str(caught.value)


def test_json_with_elisions() -> None:
    assert expected_json('{"a": 1, …}') == {"a": 1, MORE: 0}
    assert expected_json("{…}") == {MORE: 0}
    assert expected_json('[{"a": "x…y"}, … {"b": "\\"…"}]') == [{"a": "x…y"}, MORE, {"b": '"…'}]
    assert expected_json('{"a": …, "b": [1, …]}') == {"a": MORE, "b": [1, MORE]}


async def test_files_and_forms(tmp_path: Path, make_world: MakeWorld) -> None:
    text = """
```http
POST /v1/contacts

{"given_name": "Nino"}
```
```json
{"id": "{contact_id}"}
```
```csv people.csv
name,city
Nino,Tbilisi
```
```sh
curl $API/v1/documents -H "Authorization: Bearer $KEY" -F file=@people.csv -F contact_id={contact_id} -F title=People
```
```json 201
{"id": "{document_id}", "title": "People", "media_type": "text/csv", "size": 23}
```
```http
POST /v1/documents/{document_id}/links
```
```json
{"url": "{url}"}
```
```http
GET /v1/documents?contact_id={contact_id}
Authorization: none
```
```json 401
```
"""
    guide = read_guide(_guide(tmp_path, text))
    await Story(guide, await make_world()).tell()
    assert guide.files["people.csv"] == b"name,city\nNino,Tbilisi\n"
