/* Placeholder of keys/keeper.c until it is written. */
