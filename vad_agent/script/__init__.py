"""The script as a file: its schema, how it is loaded and checked, its diagram."""
