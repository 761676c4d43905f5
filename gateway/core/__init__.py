"""Pure rules and nouns: nothing here awaits, reads a clock, draws a random number or touches the world."""
