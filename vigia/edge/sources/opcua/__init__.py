"""Reads machines that speak OPC UA: what they tell now, and what they kept while nobody listened."""
