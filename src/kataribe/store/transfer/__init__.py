"""Everything that a person owns, as one file: out of one database and into another."""
