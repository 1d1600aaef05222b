"""What the steps learn from: rows, the formats of files, and the embedded STEM questions."""
