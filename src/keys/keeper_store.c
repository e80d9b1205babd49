/* Placeholder of keys/keeper_store.c until it is written. */
