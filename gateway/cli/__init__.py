"""The command line: a door for administrators and operators. Each file is a command or a family of them."""
