"""The formats on disk, torch-free: GGUF, safetensors, checksums and atomic writes."""
