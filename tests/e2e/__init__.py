"""The whole product as its users have it: installed, started as programs, killed and started again."""
