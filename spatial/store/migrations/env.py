"""Alembic environment: runs on the connection that `spatial.store.state.State` hands over."""

from alembic import context

from spatial.store.state import _Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=_Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
