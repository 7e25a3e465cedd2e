"""Documents to chunks, embeddings, a usearch index and BM25; search; the prompt grounded in what was found."""
