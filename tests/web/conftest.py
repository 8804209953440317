"""Stores on either database, as the callbacks' tests have them."""

from __future__ import annotations

from tests.callbacks.conftest import opened, policy, postgres, store, url, where

__all__ = ["opened", "policy", "postgres", "store", "url", "where"]
