"""What Alembic runs: the connection is given by `migrate`."""

from alembic import context

from vad_agent.callbacks.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
