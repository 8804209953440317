"""Samples as bytes: what every part that touches sound needs of them."""
