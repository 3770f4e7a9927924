"""A file per table: `TITLE`, and `measure(bench)`, which returns the section that is printed."""
