"""Audits of archives: the verdicts against the truth of generated calls, speed, scaling."""
