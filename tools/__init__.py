"""Development tools; they are not installed with the package."""
