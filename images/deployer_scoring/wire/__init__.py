"""Bytes to data and answers to bytes: the formats of requests and responses."""
