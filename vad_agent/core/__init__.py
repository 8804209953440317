"""The rules of a call: pure, counted in frames."""
