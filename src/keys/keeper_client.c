/* Placeholder of keys/keeper_client.c until it is written. */
