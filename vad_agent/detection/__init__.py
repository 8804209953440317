"""Speech detection as a stream: every frame is heard once, and the decision on top is small."""
