"""What the callback service costs: storing a request, thousands of open ones, many attempts at once."""
