"""Studies that can be stopped anywhere and resumed, spread over processes, with named random streams."""
