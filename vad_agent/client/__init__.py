"""Access to a desk: discovery, the HTTP client, a headset's link and its protocol."""
