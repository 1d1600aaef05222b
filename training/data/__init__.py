"""What the steps learn from: rows, the formats that files come in, and the embedded STEM questions."""
