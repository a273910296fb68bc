"""Child processes with limits and no rights: for code that models write and files of strangers."""
