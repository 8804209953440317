"""What every part may use: private files, locks, a writing thread, TOML, logins."""
