"""Exporting what a run learned: its adapter, the merged model, a GGUF for llama.cpp and Ollama; each is checked."""
