"""The web pages, in Russian: the operator's panel and the supervisor's page."""
