"""The script as a file: its schema, loading, validation, and diagram."""
