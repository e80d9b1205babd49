/* Placeholder of base/arena.c until it is written. */
