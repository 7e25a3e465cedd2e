"""The app: everything a person sees. Nothing here computes; the engine (`workbench`) never knows it."""
