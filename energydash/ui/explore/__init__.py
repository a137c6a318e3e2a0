"""Where people explore: questions of any span, asked of a folder of tables or of the history received."""
