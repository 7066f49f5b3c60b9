"""What every target shares and is written on: state and plans, the engine that runs them, generations, the ledger, the seam to a cloud, options."""
