"""Sessions: who has which kernel, what was run in it, and when it ends."""
