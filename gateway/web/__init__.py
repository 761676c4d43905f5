"""The HTTP door: reads requests, writes responses, decides nothing about them."""
