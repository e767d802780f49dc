"""The methods of the port, a module for each family as clients name them; `every` lists the families."""
