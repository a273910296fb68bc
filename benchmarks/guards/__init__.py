"""How many attacks the guards find, and how often they are wrong about ordinary text."""
