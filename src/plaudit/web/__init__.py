"""The public API and the page. Handed a function from text to verdict; cannot tell what answers behind it."""
