"""Who may make a block, which block to follow and which one is final: pure rules, to which time is passed in."""
