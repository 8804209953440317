"""Shared utilities: private files, locks, a writer thread, TOML, logins."""
