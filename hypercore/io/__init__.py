"""The half of Hypercore that touches the world: stores on disk, sessions on sockets."""
