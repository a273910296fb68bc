"""What answers cost: a meter and limits around an `LM`, and a ledger of what was spent."""
