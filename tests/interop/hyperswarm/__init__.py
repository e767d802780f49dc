"""With the npm package of Hyperswarm, on a network of this machine."""
