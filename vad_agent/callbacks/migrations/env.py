"""The script that Alembic runs; `migrate` provides the connection."""

from alembic import context

from vad_agent.callbacks.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
