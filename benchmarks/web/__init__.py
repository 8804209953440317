"""What the panel costs, and how late it is."""
