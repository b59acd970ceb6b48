"""The families of steps, one module each: how an instruction is planned, keyed and carried out."""
