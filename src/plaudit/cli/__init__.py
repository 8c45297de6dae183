"""The command line: one command a step, in the road's order. The only room that knows all others."""
