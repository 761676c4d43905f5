"""The world: stores, the upstream, files, processes, clocks. Each implements a port and decides nothing."""
