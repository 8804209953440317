"""The product's voice: phrases rendered in advance, and the player that plays them into the call."""
