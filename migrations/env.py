"""Alembic's entry: runs as the owner, over asyncpg, under an advisory lock and with a lock timeout."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from crm_api.registry import load_models

_LOCK = 4_201_972_001  # any fixed number: one migration at a time


def _run(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))  # another host may take its time
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.commit()  # both hold for the session; the migrations begin transactions of their own
    context.configure(
        connection=connection,
        target_metadata=load_models(),
        compare_type=True,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()  # before the lock is let go, or the next host would not see what was done
    connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
    connection.commit()


async def _main(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


given: Any = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    asyncio.run(_main(context.config.get_main_option("sqlalchemy.url", "")))
