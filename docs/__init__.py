"""What the docs take from the product, and the picture of the page."""
