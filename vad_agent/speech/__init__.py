"""The product's own voice: phrases rendered ahead, and the player that speaks them into the call."""
