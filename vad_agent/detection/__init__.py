"""Streaming speech detection: each frame is processed once; a small decision stage follows."""
