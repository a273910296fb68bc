"""Function calling on BFCL's sets: replies held to their form beside the same ones let go."""
