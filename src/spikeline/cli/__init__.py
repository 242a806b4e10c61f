"""One module per subcommand; `main` finds them by name."""
