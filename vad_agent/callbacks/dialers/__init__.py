"""Adapters to the centre's telephony: one file per dialer, behind one small port."""
