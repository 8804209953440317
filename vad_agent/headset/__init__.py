"""The live side at an operator's headset: the loop that feeds the session, and its inputs and outputs."""
