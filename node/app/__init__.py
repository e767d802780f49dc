"""Pages for people. Today it is one: the status page of a development market."""
