"""Text and labels: reviews, words, vocabulary, ids. Knows no network, no bundle and no HTTP."""
