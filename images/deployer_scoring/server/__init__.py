"""The container's server: its life, HTTP, what paths mean, and the thread of the model."""
