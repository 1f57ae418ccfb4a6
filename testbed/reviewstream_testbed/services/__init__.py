"""The servers, each as a child process."""
