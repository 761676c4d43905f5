"""The order of things: what happens to a request, one step after the other. Awaits ports, never touches the world."""
