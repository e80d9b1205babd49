/* Placeholder of net/resolver.c until it is written. */
