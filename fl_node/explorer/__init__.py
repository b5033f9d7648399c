"""The page that shows a task and verifies it, and the server that brings it to a browser of this machine."""
