"""Text and labels: reviews, words, vocabulary, ids. Knows no bundle and serves nothing."""
