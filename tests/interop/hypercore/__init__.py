"""With the npm packages of Hypercore, in both directions."""
