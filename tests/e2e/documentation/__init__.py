"""README.md and docs/, walked as a reader would: every command block is run, in order, and what is shown is compared."""
