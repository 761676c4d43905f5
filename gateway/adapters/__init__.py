"""Everything outside: stores, the upstream, files, processes, the clock. Each implements a port and decides nothing."""
