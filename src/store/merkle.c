/* Placeholder of store/merkle.c until it is written. */
