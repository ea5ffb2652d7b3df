"""Documents as areas write them out: Markdown, one HTML page, PDF. Knows no area."""
