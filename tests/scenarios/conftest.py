"""A mail server beside an organization."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeWorld
from tests.support.mailserver import Mailbox, mail_server
from tests.support.world import World


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as found:
        yield found


@pytest.fixture
async def by_mail(make_world: MakeWorld, mailbox: Mailbox) -> World:
    """An organization whose letters go to the mail server."""
    return await make_world(mail_url=mailbox.url)
