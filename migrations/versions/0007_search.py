"""What names are found by: the vocabulary of names, in which a word with one typo is looked up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_words",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("variant", sa.Text(collation="C"), nullable=False),
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "variant", "word", "entry_id", name=op.f("pk_contact_words")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_contact_words__organization_id")
        ),
    )
    protect("contact_words", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
