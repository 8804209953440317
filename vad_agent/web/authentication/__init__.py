"""Authentication of the pages' users: tokens, passwords, login sessions, user accounts, throttling."""
