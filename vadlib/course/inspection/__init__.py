"""Look into a trained model: its reconstructions, its memory and its errors."""
