"""`kataribe users`: who has an account."""
