"""Many recordings: what happened in each call, on one machine or a cluster, as tables and a page."""
