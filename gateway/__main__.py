"""`python -m gateway`, and the console script `esm-gateway`."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
