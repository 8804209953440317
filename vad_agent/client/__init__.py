"""How a process reaches a desk: discovery, the HTTP client, the link of a headset and its protocol."""
