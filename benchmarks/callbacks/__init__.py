"""What the desk of callbacks costs: storing a request, thousands of open ones, many attempts at once."""
