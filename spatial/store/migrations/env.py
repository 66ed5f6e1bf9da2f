"""Alembic environment: runs on the connection that `spatial.store.state.State` hands over."""

from alembic import context

from spatial.store import case_store
from spatial.store.state import _Base

assert case_store.Case.metadata is _Base.metadata  # the tables of the desk are part of the state

context.configure(
    connection=context.config.attributes["connection"], target_metadata=_Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
