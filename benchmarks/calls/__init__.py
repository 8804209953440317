"""Whole generated calls through the product and two plain timers, judged by the generator's truth."""
