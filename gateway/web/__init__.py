"""The HTTP server: reads requests, writes responses, decides nothing about them."""
