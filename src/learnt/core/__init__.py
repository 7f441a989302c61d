"""The core: what a question is, and how two things are asked it."""
