/* Placeholder of deliver/route.c until it is written. */
