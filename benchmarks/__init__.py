"""What the product costs, and next to what. See README.md."""
